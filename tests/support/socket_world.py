"""Two ends for blocking sockets, for every back end: the rows `kernel`, `stack` and `tcp`."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from typing import Any, Final, TypeAlias, TypeVar

import pytest

from plait.aio.stack import Stack
from plait.drivers.memory import MemoryDriver, pair
from plait.linux.mptcp_sockets import kernel_has_mptcp
from plait.linux.netns import Namespace, can_make_namespaces
from plait.linux.path_manager import SUBFLOW
from plait.sockets import Socket, create_connection, create_server, run_stack
from plait.sockets import socket as make_socket

T = TypeVar("T")
S = TypeVar("S", bound=socket.socket)
Scenario: TypeAlias = Callable[["World"], T]

ROWS: Final = ("kernel", "stack", "tcp")
SECONDS: Final = 10.0


@dataclass
class World:
    """Both ends, while a scenario runs."""

    row: str
    client: dict[str, Any]
    """How the client's sockets are made."""

    server: dict[str, Any]
    address: str
    """Of the server."""

    local: str
    """Of the client, as is `other`."""

    other: str
    links: list[MemoryDriver] = field(default_factory=list)
    """The client's, of a stack."""

    made: ExitStack = field(default_factory=ExitStack)
    port: int = 0
    """Of the last server."""

    @property
    def multipath(self) -> bool:
        return self.row != "tcp"

    def listen(self, **options: Any) -> Socket:
        """Listen on any port of every address."""
        server = self.keep(create_server(("", 0), **self.server | options))
        server.settimeout(SECONDS)
        self.port = server.getsockname()[1]
        return server

    def socket(self) -> Socket:
        made = self.keep(make_socket(**self.client))
        made.settimeout(SECONDS)
        return made

    def connect(self, **options: Any) -> Socket:
        where = (self.address, self.port)
        return self.keep(create_connection(where, SECONDS, **self.client | options))

    def both(self) -> tuple[Socket, Socket]:
        """Connect, and return the client's end and the server's."""
        server = self.listen()
        here = self.connect()
        return here, self.accept(server)

    def accept(self, server: Socket) -> Socket:
        there = server.accept()[0]
        assert isinstance(there, Socket)
        there.settimeout(SECONDS)
        return self.keep(there)

    def joined(self) -> tuple[Socket, Socket]:
        """Connect over two subflows."""
        here, there = settled(self.both())
        until_true(lambda: all(len(end.connection.paths) >= 2 for end in (here, there)))
        return here, there

    def keep(self, sock: S) -> S:
        """Close it in the end."""
        self.made.callback(sock.close)
        return sock


def settled(ends: tuple[Socket, Socket]) -> tuple[Socket, Socket]:
    """Return both once data went both ways: joins wait for that."""
    for one, other in (ends, ends[::-1]):
        one.sendall(b"hello")
        assert exactly(other, 5) == b"hello"
    return ends


def until_true(true: Callable[[], bool]) -> None:
    """Wait for something that gives no notice."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def exactly(sock: socket.socket, octets: int) -> bytes:
    data = bytearray()
    while len(data) < octets:
        more = sock.recv(octets - len(data))
        assert more, f"{len(data)} octets of {octets}"
        data += more
    return bytes(data)


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Run `work` in a thread until the block ends, and raise what it raises."""
    errors: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised below
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        thread.join(SECONDS)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def play(row: str, scenario: Scenario[T], *, userspace: bool = False) -> T:
    """Run a scenario in a new world; skip it where the machine cannot make one.

    Args:
        userspace: Connections of the kernel are to be steered one by one.
    """
    if row == "stack":
        return _over_stacks(scenario)

    def over_kernel() -> T:
        options = {"backend": row}
        world = World(row, options, options, "127.0.0.1", "127.0.0.1", "10.0.9.1")
        with world.made:
            return scenario(world)

    if can_make_namespaces():
        with Namespace() as namespace:
            namespace.set_mptcp_limits(subflows=4, add_addr_accepted=4)
            namespace.set_sysctl("net.mptcp.pm_type", int(userspace))
            namespace.add_address("lo", ip_interface("10.0.9.1/24"))
            namespace.add_mptcp_endpoint(ip_address("10.0.9.1"), 1, SUBFLOW)
            return namespace.run(over_kernel)
    if userspace:
        pytest.skip("steering connections of the kernel needs root")
    if row == "kernel" and not kernel_has_mptcp():
        pytest.skip("this kernel's Multipath TCP is off")
    return over_kernel()


def _over_stacks(scenario: Scenario[T]) -> T:
    links = [pair([ip_address(f"10.0.{at}.1")], [ip_address(f"10.0.{at}.2")]) for at in (1, 2)]
    near, far = (Stack(side) for side in zip(*links, strict=True))
    with run_stack(near, 0.2), run_stack(far, 0.2):
        ends = {"stack": near}, {"stack": far}
        world = World("stack", *ends, "10.0.1.2", "10.0.1.1", "10.0.2.1")
        world.links = [link[0] for link in links]
        with world.made:
            return scenario(world)


def refused(number: int, call: Callable[..., object], *arguments: Any) -> None:
    with pytest.raises(OSError) as raised:  # noqa: PT011  the number is what counts
        call(*arguments)
    assert raised.value.errno == number
