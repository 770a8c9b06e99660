"""Blocking sockets do what sockets do, whatever they run on."""

from __future__ import annotations

import asyncio
import errno
import select
import selectors
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from support.api_world import RESET, descriptors
from support.socket_world import ROWS, Scenario, World, beside, exactly, play, settled, until_true

import plait
from plait.drivers.memory import pair
from plait.errors import UsageError
from plait.host.settings import Settings
from plait.sockets import Socket, create_connection, create_server, run_stack

Run = Callable[[Scenario[Any]], Any]

BULK = bytes(range(256)) * (8 << 12)  # 8 MiB


@pytest.fixture(params=ROWS)
def run(request: pytest.FixtureRequest) -> Run:
    row: str = request.param
    return lambda scenario: play(row, scenario)


@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-02")
@pytest.mark.rfc("6897", "4.4.2", "M6897-4.4.2-01")
def test_both_ends_are_sockets_with_names(run: Run) -> None:
    def scenario(world: World) -> None:
        here, there = settled(world.both())
        for end in (here, there):
            assert isinstance(end, Socket)
            assert isinstance(end, socket.socket)
            assert (end.family, end.type) == (socket.AF_INET, socket.SOCK_STREAM)
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
            assert end.info.backend == world.row
            assert end.info.is_mptcp is world.multipath
        assert here.getpeername() == there.getsockname() == (world.address, world.port)
        assert here.getsockname() == there.getpeername()

    run(scenario)


def test_all_ways_to_receive(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(BULK)

    def scenario(world: World) -> None:
        here, there = world.both()
        here.sendall(b"abcdef")
        assert there.recv(3, socket.MSG_PEEK) == b"abc"
        buffer = bytearray(2)
        assert there.recv_into(buffer) == 2
        assert buffer == b"ab"
        twin = there.dup()
        with twin:
            assert exactly(twin, 4) == b"cdef"
        with here.makefile("rwb") as lines:
            lines.write(b"one\ntwo\n")
            lines.flush()
            with there.makefile("rb") as others:
                assert others.readline() == b"one\n"
                assert others.readline() == b"two\n"
        with file.open("rb") as source, beside(lambda: here.sendfile(source)):
            assert exactly(there, len(BULK)) == BULK

    run(scenario)


@pytest.mark.rfc("6897", "4.3.1", "M6897-4.3.1-01")
@pytest.mark.parametrize("how", ["half close", "close"])
def test_what_was_written_arrives_before_the_end(run: Run, how: str) -> None:
    def scenario(world: World) -> None:
        here, there = world.both()

        def write() -> None:
            here.sendall(BULK)
            if how == "close":
                here.close()
            else:
                here.shutdown(socket.SHUT_WR)

        with beside(write):
            time.sleep(0.05)
            assert exactly(there, len(BULK)) == BULK
            assert there.recv(1) == b""
        if how == "half close":
            there.sendall(b"still here")
            there.close()
            assert exactly(here, 10) == b"still here"
            assert here.recv(1) == b""

    run(scenario)


def test_closing_a_stack_delivers_what_sockets_were_given() -> None:
    near, far = pair([ip_address("10.0.0.1")], [ip_address("10.0.0.2")])
    near.delay = far.delay = 20_000_000
    read = 0

    with run_stack(plait.Stack([far]), 0.2) as there, create_server(("", 0), stack=there) as server:

        def count() -> None:
            nonlocal read
            with server.accept()[0] as accepted:
                while data := accepted.recv(1 << 20):
                    read += len(data)

        narrow = Settings(send_buffer=1 << 17)
        with beside(count), run_stack(plait.Stack([near], narrow)) as here:
            where = ("10.0.0.2", server.getsockname()[1])
            with create_connection(where, 5, stack=here) as sock:
                sock.sendall(BULK[: 1 << 20])
    assert read == 1 << 20


def test_a_reset_is_an_error_at_the_other_end(run: Run) -> None:
    def scenario(world: World) -> None:
        here, there = settled(world.both())
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        there.close()
        with pytest.raises(ConnectionResetError):
            here.recv(1)
        with pytest.raises(BrokenPipeError):
            here.send(b"x")

    run(scenario)


def test_closing_with_data_unread_resets(run: Run) -> None:
    def scenario(world: World) -> None:
        here, there = settled(world.both())
        here.sendall(b"unread")
        select.select([there], [], [], 5)
        there.close()
        with pytest.raises(ConnectionResetError):
            here.recv(1)

    run(scenario)


def test_what_took_the_descriptor_hears_of_a_reset(run: Run) -> None:
    """As TLS does, which knows nothing of our class."""

    def scenario(world: World) -> None:
        here, there = settled(world.both())
        plain = world.keep(socket.socket(fileno=here.detach()))
        plain.settimeout(5)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        there.close()
        with pytest.raises(ConnectionResetError):
            plain.recv(1)

    run(scenario)


@pytest.mark.parametrize("how", ["blocking", "connect_ex", "non-blocking"])
def test_nobody_listens(run: Run, how: str) -> None:
    def scenario(world: World) -> None:
        world.listen().close()
        here = world.socket()
        where = (world.address, world.port)
        if how == "blocking":
            with pytest.raises(ConnectionRefusedError):
                here.connect(where)
        elif how == "connect_ex":
            assert here.connect_ex(where) == errno.ECONNREFUSED
        else:
            here.settimeout(0)
            assert here.connect_ex(where) in {errno.EINPROGRESS, errno.ECONNREFUSED}
            assert select.select([], [here], [], 5)[1]
            error = here.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            assert error == errno.ECONNREFUSED
            assert here.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    run(scenario)


def test_a_socket_that_connects_is_writable_when_it_is_open(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        for link in world.links:
            link.delay = 50_000_000
        here = world.socket()
        here.settimeout(0)
        with pytest.raises(BlockingIOError) as raised:
            here.connect((world.address, world.port))
        assert raised.value.errno == errno.EINPROGRESS
        if world.links:  # loopback has no delay
            assert not select.select([], [here], [], 0.02)[1]
            with pytest.raises(BlockingIOError):
                here.send(b"too early")
            assert here.connect_ex((world.address, world.port)) == errno.EALREADY
        assert select.select([], [here], [], 5)[1]
        assert here.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert here.connect_ex((world.address, world.port)) in {0, errno.EISCONN}  # 0: Linux, once
        here.settimeout(5)
        settled((here, world.accept(server)))

    run(scenario)


def test_time_outs(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        server.settimeout(0.02)
        with pytest.raises(TimeoutError, match=r"^timed out$"):
            server.accept()
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
        server.settimeout(5)
        here = world.connect()
        there = world.accept(server)
        there.settimeout(0.02)
        with pytest.raises(TimeoutError, match=r"^timed out$"):
            there.recv(1)
        there.settimeout(0)
        with pytest.raises(BlockingIOError):
            there.recv(1)
        for link in world.links:
            link.lose = lambda _: True
        if world.links:
            lost = world.socket()
            lost.settimeout(0.05)
            with pytest.raises(TimeoutError, match=r"^timed out$"):
                lost.connect((world.address, world.port))
        here.close()

    run(scenario)


def test_writing_stops_where_nobody_reads(run: Run) -> None:
    def scenario(world: World) -> None:
        here, there = settled(world.both())
        here.settimeout(0.3)
        sent = 0
        with suppress(TimeoutError):
            while sent < 1 << 30:
                sent += here.send(BULK[sent % 256 :])
        assert sent < 64 << 20
        here.settimeout(5)
        with beside(lambda: here.shutdown(socket.SHUT_WR)):
            count = 0
            while data := there.recv(1 << 20):
                assert data == BULK[count % 256 : count % 256 + len(data)]
                count += len(data)
        assert count == sent

    run(scenario)


def test_selectors_tell_of_connections_data_and_ends(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        with selectors.EpollSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            assert not selector.select(0.01)
            here = world.connect()
            assert selector.select(5)
            there = world.accept(server)
            assert not selector.select(0.01)
            selector.register(there, selectors.EVENT_READ)
            assert not selector.select(0.01)
            here.sendall(b"x")
            assert selector.select(5)[0][0].fileobj is there
            assert there.recv(1) == b"x"
            assert not selector.select(0.01)
            here.close()
            assert selector.select(5)
            assert there.recv(1) == b""

    run(scenario)


def test_asyncio_drives_them(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        server.settimeout(0)

        async def main() -> bytes:
            loop = asyncio.get_running_loop()
            here = world.socket()
            here.settimeout(0)
            accepting = loop.create_task(loop.sock_accept(server))
            await loop.sock_connect(here, (world.address, world.port))
            there = world.keep((await accepting)[0])
            there.settimeout(0)
            await loop.sock_sendall(here, b"hello")
            return await loop.sock_recv(there, 5)

        assert asyncio.run(main()) == b"hello"

    run(scenario)


def test_connections_wait_until_they_are_accepted(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        clients = [world.connect() for _ in range(5)]
        for at, client in enumerate(clients):
            client.sendall(bytes([at]))
        assert [world.accept(server).recv(1)[0] for _ in clients] == list(range(5))
        waiting = settled((world.connect(), world.accept(server)))
        late = world.connect()
        server.close()
        with pytest.raises(ConnectionResetError):
            late.recv(1)
        settled(waiting)

    run(scenario)


def test_a_backlog_is_bounded() -> None:
    """The kernel drops what a stack resets, and its clients try again."""

    def scenario(world: World) -> None:
        server = world.listen(backlog=2)
        first, _ = world.connect(), world.connect()
        with pytest.raises(ConnectionResetError):  # connect() returns or sees the reset
            world.connect().recv(1)
        settled((first, world.accept(server)))

    play("stack", scenario)


def test_who_speaks_plain_tcp_is_accepted_and_told(run: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        here = world.socket()
        here.bind((world.local, 0))
        here.connect((world.address, world.port))
        _, there = settled((here, world.accept(server)))
        assert not there.info.is_mptcp
        assert there.info.backend == world.row
        assert there.info.fallback_reason

    run(scenario)


def test_calls_out_of_order_fail_as_they_do_with_tcp(run: Run) -> None:
    def scenario(world: World) -> None:
        new = world.socket()
        for call in (new.getpeername, lambda: new.recv(1), lambda: new.connection):
            with pytest.raises(OSError, match="not connected") as raised:
                call()
            assert raised.value.errno == errno.ENOTCONN
        with pytest.raises(OSError, match="Invalid argument"):
            new.accept()
        server = world.listen()
        with pytest.raises(OSError, match="Address already in use"):
            world.keep(plait.socket(**world.server)).bind(server.getsockname())
        with pytest.raises(OSError, match="Cannot assign requested address"):
            world.socket().bind(("192.0.2.1", 0))

    run(scenario)


def test_a_bound_port_is_told_before_listening(run: Run) -> None:
    """As `socketserver` relies on."""

    def scenario(world: World) -> None:
        server = plait.socket(**world.server)
        world.keep(server).bind(("", 0))
        port = server.getsockname()[1]
        assert port
        server.listen()
        assert server.getsockname()[1] == port
        world.port = port
        settled((world.connect(), world.accept(server)))

    run(scenario)


def test_nothing_leaks(run: Run) -> None:
    """Whatever way connections and attempts end."""

    def scenario(world: World) -> None:
        server = world.listen()

        def cycle(at: int) -> None:
            with plait.socket(**world.client) as here:
                here.settimeout(0 if at % 5 == 4 else 5)
                here.connect_ex((world.address, world.port + (at % 5 == 3)))
                if at % 5 >= 3:
                    return
                there = server.accept()[0]
                if at % 5 == 1:
                    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                if at % 5 == 2:
                    here.sendall(b"unread")
                there.close()

        def settled_descriptors() -> int:
            server.settimeout(0.2)
            with suppress(TimeoutError):  # what was given up may have been accepted nevertheless
                while True:
                    server.accept()[0].close()
            server.settimeout(5)
            return descriptors()

        for at in range(5):
            cycle(at)
        before = settled_descriptors()
        for at in range(100):
            cycle(at)
        until_true(lambda: settled_descriptors() <= before)

    run(scenario)


def test_there_is_no_way_to_another_family() -> None:
    def scenario(world: World) -> None:
        with pytest.raises(OSError, match="no local IPv6 address") as raised:
            create_connection(("2001:db8::1", 7), 5, **world.client)
        assert raised.value.errno == errno.ENETUNREACH

    play("stack", scenario)


def test_linger_is_told_as_it_was_set(run: Run) -> None:
    def scenario(world: World) -> None:
        here, _ = world.both()
        here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 7))
        assert here.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 7)

    run(scenario)


def test_a_stack_without_a_loop_cannot_be_waited_for_inside_it() -> None:
    def scenario(world: World) -> None:
        stack: plait.Stack = world.client["stack"]
        world.listen()

        async def inside() -> None:
            with pytest.raises(UsageError, match="would block the event loop"):
                world.socket().connect((world.address, world.port))

        assert stack.loop is not None
        asyncio.run_coroutine_threadsafe(inside(), stack.loop).result(5)

    play("stack", scenario)


@pytest.mark.parametrize(
    "arguments", [{"family": socket.AF_UNIX}, {"type": socket.SOCK_DGRAM}, {"proto": 17}]
)
def test_no_other_kinds(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        plait.socket(**arguments)
