"""Calls of programs over a stack: the steering's answers, and what then comes over the sockets."""

from __future__ import annotations

import errno
import hashlib
import os
import select
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address
from typing import Final

import pytest
from support.program import SECONDS, Outcome, Program
from support.socket_world import exactly, until_true

from plait.aio.stack import Stack
from plait.drivers.memory import pair
from plait.linux.destinations import Choice, Pattern
from plait.linux.sockaddr import Destination
from plait.proxy.unmodified import StackSteering
from plait.sockets import Socket, create_connection, create_server, run_stack

NEAR: Final = tuple(ip_address(f"10.0.{path}.1") for path in (1, 2))
FAR: Final = tuple(ip_address(f"10.0.{path}.2") for path in (1, 2))
ANY: Final = IPv4Address(0)
PORT: Final = 80
_SO_BINDTODEVICE: Final = 25
MEGABYTE: Final = bytes(range(256)) * 4096


class World:
    """A program over one stack, its peers over another."""

    def __init__(self, choice: Choice | None = None) -> None:
        links = [pair([near], [far]) for near, far in zip(NEAR, FAR, strict=True)]
        self.there = Stack([far for _, far in links])
        self.steering = StackSteering(lambda _: Stack([near for near, _ in links]), choice)
        self.program = Program(self.steering)

    def server(self) -> Socket:
        made = create_server(("", PORT), stack=self.there)
        made.settimeout(SECONDS)
        return made

    def peer(self, port: int, address: int = 0) -> Socket:
        made = create_connection((str(NEAR[address]), port), SECONDS, stack=self.there)
        made.settimeout(SECONDS)
        return made


@pytest.fixture
def world() -> Iterator[World]:
    yield from _world()


def _world(choice: Choice | None = None) -> Iterator[World]:
    made = World(choice)
    try:
        with run_stack(made.there):
            yield made
    finally:
        made.steering.close()


def fresh(*, blocking: bool = True) -> socket.socket:
    sock = socket.socket()
    sock.settimeout(SECONDS if blocking else 0)
    os.set_blocking(sock.fileno(), blocking)
    return sock


def writable(sock: socket.socket, seconds: float = SECONDS) -> bool:
    return bool(select.select((), [sock], (), seconds)[1])


# ---- connect


@pytest.mark.parametrize("blocking", [True, False])
def test_a_connection_rides_the_stack_and_tells_its_real_ends(world: World, blocking: bool) -> None:
    with world.server() as server, fresh(blocking=blocking) as sock:
        outcome = world.program.connect(sock, (FAR[0], PORT))
        assert outcome.error == (0 if blocking else errno.EINPROGRESS)
        with server.accept()[0] as there:
            assert isinstance(there, Socket)
            there.settimeout(SECONDS)
            assert writable(sock)
            for one, other in ((sock, there), (there, sock)):
                one.sendall(b"hello")
                other.settimeout(SECONDS)
                assert exactly(other, 5) == b"hello"
            until_true(lambda: len(there.connection.paths) >= 2)
            ends = there.getpeername(), there.getsockname()
            for call, (host, port) in zip(("getsockname", "getpeername"), ends, strict=True):
                assert world.program.name(call, sock) == (ip_address(host), port)
            told = outcome.answer if blocking else outcome.told
            assert told is not None
            assert told.got == "MPTCP"


@pytest.mark.parametrize("blocking", [True, False])
def test_nobody_there_is_refused(world: World, blocking: bool) -> None:
    with fresh(blocking=blocking) as sock:
        outcome = world.program.connect(sock, (FAR[0], PORT))
        if blocking:
            assert outcome.error == errno.ECONNREFUSED
        else:
            assert outcome.error == errno.EINPROGRESS
            assert writable(sock)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        assert len(world.steering._relays) == 0


def test_a_call_that_a_signal_ended_is_made_again_and_connects_once(world: World) -> None:
    with world.server() as server, fresh() as sock:
        outcomes: list[Outcome] = []
        threads = [
            threading.Thread(
                target=lambda: outcomes.append(world.program.connect(sock, (FAR[0], PORT)))
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert any(one.error == 0 and not one.proceeds for one in outcomes)
        with server.accept()[0]:
            server.settimeout(0.2)
            with pytest.raises(TimeoutError):
                server.accept()


def test_it_leaves_from_the_address_that_the_program_bound(world: World) -> None:
    with world.server() as server, fresh() as sock:
        assert world.program.bind(sock, (NEAR[1], 0)).error == 0
        bound = world.program.name("getsockname", sock)
        assert bound is not None
        assert bound[0] == NEAR[1]
        world.program.connect(sock, (FAR[1], PORT))
        with server.accept()[0] as there:
            assert there.getpeername() == (str(NEAR[1]), bound[1])


SPARED = {
    "loopback": (socket.SOCK_STREAM, (ip_address("127.0.0.1"), 9), None),
    "UDP": (socket.SOCK_DGRAM, (FAR[0], 9), None),
    "a family without address": (socket.SOCK_STREAM, (ip_address("2001:db8::1"), 9), "no IPv6"),
    "not chosen": (socket.SOCK_STREAM, (FAR[0], 22), "by its destination"),
}


@pytest.mark.parametrize(("kind", "to", "why"), SPARED.values(), ids=SPARED)
def test_what_is_not_for_the_stack_stays_with_the_kernel(
    kind: int, to: Destination, why: str | None
) -> None:
    for world in _world(Choice(excepted=(Pattern.parse("*:22"),))):
        family = socket.AF_INET if to[0].version == 4 else socket.AF_INET6
        with socket.socket(family, kind) as sock:
            outcome = world.program.connect(sock, to)
            assert outcome.proceeds
            assert outcome.answer is not None
            assert outcome.answer.got == (None if why is None else "TCP")
            assert (why or "") in outcome.answer.why


def bind_to_device(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, b"lo")
    except PermissionError:
        pytest.skip("this kernel lets only root bind to a device")


def test_what_is_bound_to_a_device_stays_with_the_kernel(world: World) -> None:
    with fresh() as sock, fresh() as listener:
        for one in (sock, listener):
            bind_to_device(one)
        outcome = world.program.connect(sock, (FAR[0], PORT))
        assert outcome.proceeds
        assert outcome.answer is not None
        assert outcome.answer.why == "it is bound to lo"
        assert world.program.listen(listener).proceeds


def test_a_socket_whose_connection_ended_keeps_its_address(world: World) -> None:
    with world.server() as server, fresh() as sock:
        world.program.connect(sock, (FAR[0], PORT))
        there = server.accept()[0]
        here = world.program.name("getsockname", sock)
        assert here is not None
        sock.shutdown(socket.SHUT_WR)
        there.settimeout(SECONDS)
        assert there.recv(1) == b""
        there.close()
        assert sock.recv(1) == b""
        until_true(lambda: len(world.steering._relays) == 0)
        assert world.program.name("getpeername", sock) is None
        with pytest.raises(OSError, match="not connected"):
            sock.getpeername()
        assert world.program.name("getsockname", sock) == here


def test_a_name_without_room_is_the_kernels_to_refuse(world: World) -> None:
    with world.server() as server, fresh() as sock:
        world.program.connect(sock, (FAR[0], PORT))
        with server.accept()[0]:
            assert world.program.call("getpeername", sock.fileno(), 0, 0).proceeds


def test_what_a_program_wrote_before_it_ended_arrives() -> None:
    world = World()
    with run_stack(world.there), world.server() as server:
        sock = fresh()
        world.program.connect(sock, (FAR[0], PORT))
        there = server.accept()[0]
        got = bytearray()
        reading = threading.Thread(target=lambda: got.extend(_all(there)))
        reading.start()
        with there:
            sock.sendall(MEGABYTE)
            sock.close()
            world.steering.close()
            reading.join(SECONDS)
        assert hashlib.sha256(got).digest() == hashlib.sha256(MEGABYTE).digest()


def _all(sock: socket.socket) -> bytes:
    sock.settimeout(SECONDS)
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


# ---- listen and accept


def listening(world: World, sock: socket.socket, here: Destination) -> int:
    """Bind and listen; return the port."""
    outcome = world.program.bind(sock, here)
    assert outcome.error == 0
    if outcome.proceeds:
        sock.bind((str(here[0]), here[1]))
    assert world.program.listen(sock).error == 0
    return int(sock.getsockname()[1])


@pytest.mark.parametrize("flags", [None, 0, socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC])
def test_a_server_hears_of_its_real_peers(world: World, flags: int | None) -> None:
    with fresh() as listener:
        port = listening(world, listener, (ANY, 0))
        with world.peer(port) as there:
            here, name = world.program.accept(listener, flags)
            with here:
                host, number = there.getsockname()[:2]
                assert name == (ip_address(host), number)
                assert world.program.name("getpeername", here) == name
                assert os.get_blocking(here.fileno()) is (not flags)
                assert here.get_inheritable() is (not flags)
                here.sendall(b"hello")
                assert exactly(there, 5) == b"hello"
                until_true(lambda: len(there.connection.paths) >= 2)


def test_accept_waits_or_says_that_nobody_is_there(world: World) -> None:
    with fresh() as listener:
        port = listening(world, listener, (ANY, 0))
        os.set_blocking(listener.fileno(), False)
        with pytest.raises(BlockingIOError):
            world.program.accept(listener)
        os.set_blocking(listener.fileno(), True)
        accepted: list[socket.socket] = []
        waiting = threading.Thread(
            target=lambda: accepted.append(world.program.accept(listener)[0])
        )
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        with world.peer(port):
            waiting.join(SECONDS)
            accepted.pop().close()


def test_clients_of_this_machine_are_accepted_as_they_are(world: World) -> None:
    with fresh() as listener:
        port = listening(world, listener, (ANY, 0))
        with socket.create_connection(("127.0.0.1", port)) as there:
            here, name = world.program.accept(listener)
            with here:
                assert name == (ip_address("127.0.0.1"), there.getsockname()[1])
                assert world.program.name("getpeername", here) is None


def test_a_connection_of_a_killed_thread_goes_to_the_next(world: World) -> None:
    with fresh() as listener:
        port = listening(world, listener, (ANY, 0))
        killed = world.program.begin("accept", listener.fileno(), 0, 0)
        killed.killed = True
        with world.peer(port) as there:
            until_true(lambda: killed.answer is not None)
            here, _ = world.program.accept(listener)
            with here:
                here.sendall(b"hello")
                assert exactly(there, 5) == b"hello"


def test_a_listener_is_let_go_when_who_waits_on_it_is_killed(world: World) -> None:
    with fresh() as listener:
        port = listening(world, listener, (ANY, 0))
        waiting = world.program.begin("accept", listener.fileno(), 0, 0)
        waiting.killed = True
        until_true(lambda: waiting.answer is not None)
    with fresh() as again:
        again.bind(("", port))


def test_a_port_is_free_after_its_program_has_closed_it(world: World) -> None:
    with fresh() as listener:
        port = listening(world, listener, (ANY, 0))
    with world.peer(port) as there, pytest.raises(ConnectionResetError):
        there.recv(1)
    with pytest.raises(ConnectionRefusedError):
        world.peer(port)
    with fresh() as listener:
        assert listening(world, listener, (ANY, port)) == port
        with world.peer(port):
            world.program.accept(listener)[0].close()


def test_listeners_share_a_port_if_their_program_says_so(world: World) -> None:
    with fresh() as one, fresh() as other:
        for sock in (one, other):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = listening(world, one, (ANY, 0))
        listening(world, other, (ANY, port))
        with world.peer(port):
            assert select.select([one, other], (), (), SECONDS)[0]


def test_a_server_can_listen_on_one_address_of_the_stack(world: World) -> None:
    with fresh() as listener:
        port = listening(world, listener, (NEAR[0], 0))
        assert world.program.name("getsockname", listener) == (NEAR[0], port)
        with world.peer(port):
            world.program.accept(listener)[0].close()
        with pytest.raises(ConnectionRefusedError):
            world.peer(port, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7"])
def test_what_listens_on_other_addresses_is_not_exposed(world: World, host: str) -> None:
    with fresh() as listener:
        listener.bind((host, 0))
        outcome = world.program.listen(listener)
        assert outcome.proceeds
        listener.listen()
        with pytest.raises(ConnectionRefusedError):
            world.peer(listener.getsockname()[1])
