"""TLS by the standard library, over every back end."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from support.api_world import (
    Scenario,
    World,
    client_context,
    descriptors,
    echo,
    server_context,
    until,
)

from plait.aio.connection import connection_of
from plait.aio.opening import create_connection
from plait.errors import UsageError

Run = Callable[[Scenario[Any]], Any]


@pytest.mark.rfc("6897", "6.1", "M6897-6.1-01")
@pytest.mark.parametrize("hostname", [None, "plait.test"])
def test_a_megabyte_comes_back(run: Run, hostname: str | None) -> None:
    """The name that is checked is that of the host, or the one given, on however many paths."""

    async def scenario(world: World) -> None:
        await world.serve(echo, ssl=server_context())
        reader, writer = await world.connect(ssl=client_context(), server_hostname=hostname)
        data = random.Random(5).randbytes(1 << 20)

        async def send() -> None:
            writer.write(data)
            await writer.drain()

        _, got = await asyncio.gather(send(), reader.readexactly(len(data)))
        assert got == data
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert writer.get_extra_info("peercert")
        assert connection_of(writer).info.backend == world.backends[0]
        writer.close()
        await writer.wait_closed()

    run(scenario)


def test_who_speaks_first_is_heard(run: Run) -> None:
    async def scenario(world: World) -> None:
        def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert writer.get_extra_info("ssl_object") is not None
            writer.write(b"220 ready")

        await world.serve(greet, ssl=server_context())
        reader, _ = await world.connect(ssl=client_context(), server_hostname="localhost")
        assert await reader.readexactly(9) == b"220 ready"

    run(scenario)


def test_a_connection_can_begin_tls_later(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, there = await world.both()

        async def serve() -> None:
            assert await there[0].readline() == b"STARTTLS\n"
            there[1].write(b"220\n")
            await there[1].start_tls(server_context())
            await echo(*there)

        serving = asyncio.create_task(serve())
        here[1].write(b"STARTTLS\n")
        assert await here[0].readline() == b"220\n"
        await here[1].start_tls(client_context(), server_hostname="localhost")
        here[1].write(b"secret")
        assert await here[0].readexactly(6) == b"secret"
        assert connection_of(here[1]).info.bytes_sent > 100
        assert connection_of(there[1]).info.backend == world.backends[1]
        here[1].close()
        await serving

    run(scenario)


def test_a_name_that_is_not_in_the_certificate_ends_it(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo, ssl=server_context())
        for context, name in ((client_context(), "other.test"), (True, "localhost")):
            with pytest.raises(ssl.SSLCertVerificationError):
                await world.connect(ssl=context, server_hostname=name)

    run(scenario)


def test_a_peer_that_speaks_no_tls_ends_it(run: Run) -> None:
    async def scenario(world: World) -> None:
        def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        await world.serve(answer)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await world.connect(ssl=client_context(), server_hostname="localhost")

    run(scenario)


def test_a_handshake_that_is_not_answered_times_out(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(lambda *_: None)
        (await world.connect())[1].transport.abort()  # a stack begins with its first connection
        await asyncio.sleep(0.1)
        before = descriptors()
        with pytest.raises(ConnectionAbortedError, match="SSL handshake is taking longer"):
            await world.connect(
                ssl=client_context(), server_hostname="localhost", ssl_handshake_timeout=0.1
            )
        with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
            await world.connect(ssl=client_context(), server_hostname="localhost", timeout=0.1)
        for writer in world.writers:
            writer.transport.abort()
        await until(lambda: descriptors() <= before)

    run(scenario)


def test_a_client_that_does_not_shake_hands_costs_the_server_nothing(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve(echo, ssl=server_context(), ssl_handshake_timeout=0.1)
        reader, writer = await world.connect()
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        server.close()
        await server.wait_closed()

    run(scenario)


def test_a_buffered_protocol_within_tls(run: Run) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(500)
            self.data = bytearray()

        def get_buffer(self, sizehint: int) -> memoryview:
            return memoryview(self.buffer)

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.buffer[:nbytes]

    async def scenario(world: World) -> None:
        await world.serve(echo, ssl=server_context())
        transport, protocol = await create_connection(
            Buffered,
            world.address,
            world.port,
            backend=world.client,
            ssl=client_context(),
            server_hostname="localhost",
        )
        data = random.Random(6).randbytes(20_000)
        transport.write(data)
        await until(lambda: len(protocol.data) == len(data))
        assert protocol.data == data
        transport.close()

    run(scenario)


MISUSE: dict[str, tuple[dict[str, Any], str]] = {
    "a name without TLS": (
        {"server_hostname": "localhost"},
        "server_hostname means something with ssl only",
    ),
    "data in the clear": (
        {"ssl": True, "data": b"secret"},
        "data would leave before the TLS handshake: write it afterwards",
    ),
}


@pytest.mark.parametrize(("options", "message"), MISUSE.values(), ids=MISUSE.keys())
def test_contradictions(options: dict[str, Any], message: str) -> None:
    connecting = create_connection(asyncio.Protocol, "127.0.0.1", 1, backend="tcp", **options)
    with pytest.raises(UsageError) as raised:
        asyncio.run(connecting)
    assert str(raised.value) == message
