from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any

import pytest

import plait
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.drivers.memory import pair

HERE = ip_address("10.0.0.1")
THERE = ip_address("10.0.0.2")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()


def run(scenario: Callable[[Stack, Stack], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        here, there = pair([HERE], [THERE])
        async with asyncio.timeout(20), Stack([here]) as one, Stack([there]) as other:
            await scenario(one, other)

    asyncio.run(bounded())


@pytest.mark.rfc("6182", "2.2", "M6182-2.2-01")
@pytest.mark.parametrize("length", [0, 1, 65_536, 4 << 20])
def test_what_is_sent_comes_back(length: int) -> None:
    async def scenario(one: Stack, other: Stack) -> None:
        server = await start_server(echo, None, 0, stack=other)
        reader, writer = await open_connection(str(THERE), server.port, stack=one)
        data = bytes(range(256)) * (length // 256) + bytes(length % 256)

        async def send() -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        _, received = await asyncio.gather(send(), reader.read())
        assert received == data
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(scenario)


def test_lines_and_exact_reads() -> None:
    async def scenario(one: Stack, other: Stack) -> None:
        server = await start_server(echo, str(THERE), 7, stack=other)
        reader, writer = await open_connection(str(THERE), 7, stack=one)
        writer.writelines([b"first\n", b"second\nrest"])
        assert await reader.readline() == b"first\n"
        assert await reader.readexactly(9) == b"second\nre"
        writer.write_eof()
        assert await reader.read() == b"st"
        assert reader.at_eof()
        writer.close()
        server.close()

    run(scenario)


def test_a_plain_function_may_take_connections() -> None:
    async def scenario(one: Stack, other: Stack) -> None:
        taken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def callback(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken.set_result(writer.get_extra_info("peername")[0])
            writer.close()

        await start_server(callback, None, 7, stack=other)
        reader, writer = await open_connection(str(THERE), 7, stack=one)
        assert await taken == str(HERE)
        assert await reader.read() == b""
        writer.close()

    run(scenario)


def test_an_abort_is_an_error_for_the_reader() -> None:
    async def scenario(one: Stack, other: Stack) -> None:
        async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.transport.abort()

        await start_server(slam, None, 7, stack=other)
        reader, writer = await open_connection(str(THERE), 7, stack=one)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read()

    run(scenario)


def test_the_package_offers_the_same_functions() -> None:
    assert plait.open_connection is open_connection
    assert plait.start_server is start_server
    assert plait.Stack is Stack
    with pytest.raises(AttributeError, match="nothing"):
        _ = plait.nothing
