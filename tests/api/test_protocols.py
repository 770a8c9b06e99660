"""Transports and protocols, as event loops have them."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from support.api_world import Scenario, World, echo, until

from plait.aio.connection import Connection, connection_of
from plait.aio.opening import create_connection, create_server
from plait.aio.protocols import ChunkProtocol
from plait.buffers import Buffer
from plait.errors import UsageError

Run = Callable[[Scenario[Any]], Any]


class Recorder(asyncio.Protocol):
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.data = b""
        self.transport: asyncio.Transport
        self.connection: Connection
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connection = connection_of(transport)
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.calls[-1] != "data":
            self.calls.append("data")

    def eof_received(self) -> None:
        self.calls.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost" if exc is None else type(exc).__name__)
        self.lost.set()


class Buffered(asyncio.BufferedProtocol):
    """Takes data in helpings of 1000 octets, in one buffer."""

    def __init__(self) -> None:
        self.buffer = bytearray(1000)
        self.data = bytearray()
        self.ended = asyncio.Event()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.ended.set()


class Chunked(ChunkProtocol):
    """Keeps a copy of each chunk."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ended = asyncio.Event()

    def chunks_received(self, chunks: Sequence[Buffer]) -> None:
        self.chunks += map(bytes, chunks)

    def eof_received(self) -> None:
        self.ended.set()


async def connect(
    world: World, factory: Callable[[], Any], **options: Any
) -> tuple[asyncio.Transport, Any]:
    return await create_connection(
        factory, world.address, world.port, backend=world.client, **options
    )


def test_a_protocol_hears_of_everything_once(run: Run) -> None:
    async def scenario(world: World) -> None:
        made: list[Recorder] = []

        def accept() -> Recorder:
            made.append(Recorder())
            return made[-1]

        server = await create_server(accept, None, 0, backend=world.server)
        world.servers.append(server)
        world.port = server.port
        transport, protocol = await connect(world, Recorder)
        assert protocol.transport is transport
        assert transport.get_protocol() is protocol
        transport.write(b"bye")
        transport.write_eof()
        await protocol.lost.wait()
        await made[0].lost.wait()
        assert protocol.calls == ["made", "eof", "lost"]
        assert made[0].calls == ["made", "data", "eof", "lost"]
        assert transport.is_closing()

    run(scenario)


def test_a_buffered_protocol_is_given_its_own_buffer(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        transport, protocol = await connect(world, Buffered)
        data = random.Random(3).randbytes(100_000)
        transport.write(data)
        transport.write_eof()
        await protocol.ended.wait()
        assert protocol.data == data

    run(scenario)


def test_chunks_are_the_stream(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        transport, protocol = await connect(world, Chunked)
        data = random.Random(5).randbytes(300_000)
        transport.writelines([data[:100], data[100:]])
        transport.write_eof()
        await protocol.ended.wait()
        assert b"".join(protocol.chunks) == data
        assert all(protocol.chunks)

    run(scenario)


def test_a_transport_can_change_its_protocol(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        transport, first = await connect(world, Recorder)
        transport.write(b"for the first")
        await until(lambda: first.data == b"for the first")
        second = Buffered()
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        transport.write(b"for the second")
        transport.write_eof()
        await second.ended.wait()
        assert second.data == b"for the second"
        assert first.calls == ["made", "data"]

    run(scenario)


def test_reading_can_be_paused(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        transport, protocol = await connect(world, Recorder)
        transport.pause_reading()
        assert not transport.is_reading()
        transport.write(b"later")
        await asyncio.sleep(0.05)
        assert protocol.data == b""
        transport.resume_reading()
        await until(lambda: protocol.data == b"later")
        transport.abort()
        await protocol.lost.wait()

    run(scenario)


def test_data_given_to_connect_goes_first(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        transport, protocol = await connect(world, Recorder, data=b"first ")
        transport.write(b"second")
        transport.write_eof()
        await protocol.lost.wait()
        assert protocol.data == b"first second"

    run(scenario)


@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-01")
def test_extra_information(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, there = await world.both()
        assert here[1].get_extra_info("peername")[:2] == (world.address, world.port)
        assert here[1].get_extra_info("sockname")[0] == world.local
        assert there[1].get_extra_info("sockname")[1] == world.port
        port = here[1].get_extra_info("sockname")[1]
        assert there[1].get_extra_info("peername")[1] == port
        sock = here[1].get_extra_info("socket")
        if world.differs("socket"):
            assert sock is None
        else:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert here[1].get_extra_info("sslcontext") is None
        assert isinstance(here[1].get_extra_info("plait"), Connection)

    run(scenario)


def test_a_factory_that_fails_leaves_no_connection(run: Run) -> None:
    async def scenario(world: World) -> None:
        ended = asyncio.Event()

        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):  # ENOTCONN of the kernel's Multipath TCP among them
                await reader.read()
            writer.close()
            ended.set()

        await world.serve(wait)
        with pytest.raises(ZeroDivisionError):
            await connect(world, lambda: 1 // 0)
        await ended.wait()

    run(scenario)


def test_streams_of_others_are_told_apart() -> None:
    async def scenario() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with pytest.raises(UsageError, match=r"open it with plait\.open_connection"):
            connection_of(writer)
        writer.close()
        server.close()

    asyncio.run(scenario())
