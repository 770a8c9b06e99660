"""Two ends and what is between them, for every back end: rows of the tables that this suite runs.

`kernel` and `tcp` are two sockets on loopback, `stack` two stacks in one process, `udp` the same
over UDP on loopback, and the mixed rows a stack on TUN devices and the kernel, in a namespace of
their own.  Where rows differ,
`DIFFERENCES` says how and why, and nothing else does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from plait.aio.connection import Connection, connection_of
from plait.aio.kernel import Kernel
from plait.aio.opening import AnyServer
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.drivers.memory import pair
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.drivers.udp import Udp, UdpSpec
from plait.linux.mptcp_sockets import kernel_has_mptcp
from plait.linux.netns import Namespace, can_make_namespaces
from plait.linux.path_manager import SUBFLOW

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]
Scenario = Callable[["World"], Awaitable[T]]

ROWS: Final = ("kernel", "tcp", "stack", "udp", "stack to kernel", "kernel to stack")

NO_SOCKET: Final = "socket: a stack has none; getsockname and getpeername are extra information"
ABORT_IS_FIN: Final = "asyncio aborts by close(), which sends a FIN if all was read"
NO_MULTIPATH: Final = "plain TCP has one path and no token"
LATE_DATA: Final = "TCP resets for data to a closed socket; Multipath TCP takes it for a while"
FIN_COUNTED: Final = "the kernel counts a FIN among the octets that it received"
SIGNALED: Final = "a stack hears of it by ICMP, which memory has not; kernels ask their routes"

DIFFERENCES: Final = {
    ("stack", "socket"): NO_SOCKET,
    ("stack to kernel", "socket"): NO_SOCKET,
    ("stack", "sendfile from the client"): NO_SOCKET,
    ("stack to kernel", "sendfile from the client"): NO_SOCKET,
    ("kernel", "abort"): ABORT_IS_FIN,
    ("tcp", "abort"): ABORT_IS_FIN,
    ("kernel to stack", "abort"): ABORT_IS_FIN,
    ("tcp", "multipath"): NO_MULTIPATH,
    ("tcp", "late data"): LATE_DATA,
    ("tcp", "received"): FIN_COUNTED,
    ("stack", "unreachable"): SIGNALED,
    ("udp", "socket"): NO_SOCKET,
    ("udp", "sendfile from the client"): NO_SOCKET,
    ("udp", "unreachable"): SIGNALED,
    ("stack to kernel", "unreachable"): SIGNALED,
}
"""What a row does otherwise than the rest, with the reason."""

TLS: Final = Path(__file__).parents[1] / "data" / "tls"
"""A certificate for localhost, plait.test and the worlds, made by `openssl req -x509`."""

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 seconds: closing resets."""


def server_context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    return made


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "certificate.pem"))


@dataclass
class World:
    """Both ends, while a scenario runs."""

    row: str
    client: Stack | Kernel
    server: Stack | Kernel
    address: str
    """Of the server."""

    local: str
    """Of the client."""

    silent: str
    """An address that does not answer."""

    paths: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    servers: list[AnyServer] = field(default_factory=list)
    port: int = 0
    """Of the last server."""

    mute: socket.socket | None = None
    """What has the silent address, where nobody having it is told."""

    @property
    def backends(self) -> tuple[str, str]:
        """What `info.backend` is at the client and at the server."""
        one, _, other = self.row.replace("udp", "stack").partition(" to ")
        return one, other or one

    def differs(self, what: str) -> bool:
        return (self.row, what) in DIFFERENCES

    async def serve(self, handler: Handler, **options: Any) -> AnyServer:
        """Listen on any port of every address."""

        def on_connection(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> Awaitable[None] | None:
            self.writers.append(writer)
            return handler(reader, writer)

        server = await start_server(on_connection, None, 0, backend=self.server, **options)
        self.servers.append(server)
        self.port = server.port
        return server

    async def connect(self, **options: Any) -> Streams:
        options = {"backend": self.client} | options
        reader, writer = await open_connection(self.address, self.port, **options)
        self.writers.append(writer)
        return reader, writer

    async def both(
        self, *, serving: dict[str, Any] | None = None, **options: Any
    ) -> tuple[Streams, Streams]:
        """Open a connection and return the client's end and the server's."""
        accepted: asyncio.Queue[Streams] = asyncio.Queue()

        await self.serve(lambda *ends: accepted.put_nowait(ends), **(serving or {}))
        here = await self.connect(**options)
        return here, await accepted.get()

    async def close(self) -> None:
        for writer in self.writers:
            with suppress(AttributeError):  # asyncio's transports mind it after their end
                writer.transport.abort()
        for server in self.servers:
            server.close()
        await self.client.close(0.2)
        await self.server.close(0.2)
        if self.mute is not None:
            self.mute.close()
        await asyncio.sleep(0.01)  # connection_lost of the aborted ones


@contextmanager
def silence(world: World) -> Iterator[tuple[str, int]]:
    """Yield an address and port that do not answer."""
    if world.silent:
        yield world.silent, 9
        return
    with ExitStack() as kept:  # a backlog that is full takes no more
        full = kept.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            filling = kept.enter_context(socket.socket())
            filling.settimeout(0)
            filling.connect_ex(full.getsockname())
        yield full.getsockname()


def play(row: str, scenario: Scenario[T], seconds: float = 20) -> T:
    """Run a scenario in a new world; skip it where the machine cannot make one."""
    with ExitStack() as made:
        namespace: Namespace | None = None
        if row not in IN_PROCESS:
            if can_make_namespaces():
                namespace = made.enter_context(Namespace())
            elif " to " in row:
                pytest.skip("making network namespaces needs root")
        make = _namespaced(row, namespace)

        async def bounded() -> T:
            world = make()
            try:
                async with asyncio.timeout(seconds):
                    for end in (world.client, world.server):
                        if isinstance(end, Stack):
                            await end.__aenter__()
                    return await scenario(world)
            finally:
                await world.close()

        if namespace is None:
            if row == "kernel" and not kernel_has_mptcp():
                pytest.skip("this kernel's Multipath TCP is off")
            return asyncio.run(bounded())
        return namespace.run(lambda: asyncio.run(bounded()))


def _namespaced(row: str, namespace: Namespace | None) -> Callable[[], World]:
    """Prepare the kernel and return what makes the world on a loop."""
    if row in IN_PROCESS:
        return IN_PROCESS[row]
    if namespace is not None:
        namespace.set_sysctl("net.mptcp.close_timeout", 1)
        namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
        namespace.set_mptcp_limits(subflows=4, add_addr_accepted=4)
    if " to " in row:
        return lambda: _stack_and_kernel(row, namespace)
    return lambda: _two_sockets(row, namespace)


def _two_sockets(row: str, namespace: Namespace | None) -> World:
    paths = 1
    if namespace is not None:
        namespace.add_address("lo", ip_interface("10.0.9.1/24"))
        namespace.add_mptcp_endpoint(ip_address("10.0.9.1"), 1, SUBFLOW)
        paths = 1 if row == "tcp" else 2
    mptcp = row == "kernel"
    kernels = Kernel(mptcp=mptcp), Kernel(mptcp=mptcp)
    return World(row, *kernels, "127.0.0.1", "127.0.0.1", "", paths)


def _two_stacks() -> World:
    links = [
        pair([ip_address(f"10.0.{path}.1")], [ip_address(f"10.0.{path}.2")]) for path in (1, 2)
    ]
    client, server = (Stack(side) for side in zip(*links, strict=True))
    return World("stack", client, server, "10.0.1.2", "10.0.1.1", "10.0.1.9", 2)


def _two_over_udp() -> World:
    first = _udp("127.0.0.1")
    port = first.outer[1]
    server = Stack([first, _udp("127.0.2.2", port=port)])
    client = Stack([_udp(f"127.0.1.{path}", remote_port=port) for path in (1, 2)])
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("127.0.2.9", port))
    return World("udp", client, server, "127.0.0.1", "127.0.1.1", "127.0.2.9", 2, mute=mute)


def _udp(address: str, **ports: Any) -> Udp:
    return Udp(UdpSpec(local=ip_address(address), secret=bytes(16), mtu=1500, **ports))


IN_PROCESS: Final = {"stack": _two_stacks, "udp": _two_over_udp}


def _stack_and_kernel(row: str, namespace: Namespace | None) -> World:
    assert namespace is not None
    specs = [
        TunSpec(
            name=f"tun{path}",
            local=(ip_address(f"10.0.{path}.1"),),
            peer=(ip_interface(f"10.0.{path}.2/24"),),
        )
        for path in (1, 2)
    ]
    stack, kernel = Stack([Tun(spec) for spec in specs]), Kernel()
    if row == "stack to kernel":
        return World(row, stack, kernel, "10.0.1.2", "10.0.1.1", "10.0.1.9", 2)
    namespace.add_mptcp_endpoint(ip_address("10.0.2.2"), 1, SUBFLOW)
    return World(row, kernel, stack, "10.0.1.1", "10.0.1.2", "10.0.1.9", 2)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes until it ends, however that happens."""
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    writer.close()


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that gives no notice."""
    while not true():  # noqa: ASYNC110  there is no event to wait for
        await asyncio.sleep(0.005)


async def settled(ends: tuple[Streams, Streams]) -> tuple[Connection, Connection]:
    """Return both connections once data went both ways: joins wait for that."""
    here, there = ends
    for one, other in ((here, there), (there, here)):
        one[1].write(b"hello")
        assert await other[0].readexactly(5) == b"hello"
    return connection_of(here[1]), connection_of(there[1])


def descriptors() -> int:
    """Return how many descriptors the process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  it counts itself likewise each time
