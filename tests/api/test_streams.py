"""Streams: one behavior over every back end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.api_world import Scenario, World, echo, until

from plait.aio.connection import connection_of

Run = Callable[[Scenario[Any]], Any]


@pytest.mark.rfc("6182", "2.2", "M6182-2.2-01")
@pytest.mark.parametrize("length", [0, 1, 1 << 16])
def test_what_is_sent_comes_back(run: Run, length: int) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        reader, writer = await world.connect()
        data = random.Random(length).randbytes(length)
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == data
        assert reader.at_eof()
        writer.close()
        await writer.wait_closed()

    run(scenario)


def test_the_event_loop_sends_files(run: Run, tmp_path: Path) -> None:
    data = random.Random(3).randbytes(300_000)
    file = tmp_path / "file"
    file.write_bytes(data)

    async def scenario(world: World) -> None:
        await world.serve(echo)
        reader, writer = await world.connect()
        reading = asyncio.ensure_future(reader.read())
        writer.write(b"head")
        with file.open("rb") as source:
            sending = asyncio.get_running_loop().sendfile(writer.transport, source)
            if world.differs("sendfile from the client"):
                with pytest.raises(NotImplementedError, match="read the file and write"):
                    await sending
                writer.write(source.read())
            else:
                await sending
        writer.write(b"tail")
        writer.write_eof()
        assert await reading == b"head" + data + b"tail"

    run(scenario)


def test_much_goes_both_ways_at_once(run: Run) -> None:
    length = 4 << 20

    async def scenario(world: World) -> None:
        async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
            view = memoryview(data)
            for at in range(0, length, 100_000):
                writer.write(view[at : at + 100_000])
                await writer.drain()
            writer.write_eof()

        here, there = await world.both()
        up, down = random.Random(1).randbytes(length), random.Random(2).randbytes(length)
        _, _, got_down, got_up = await asyncio.gather(
            send(here[1], up), send(there[1], down), here[0].read(), there[0].read()
        )
        assert got_up == up
        assert got_down == down

    run(scenario)


@pytest.mark.rfc("6897", "4.3.1", "M6897-4.3.1-01")
def test_a_half_closed_stream_can_still_be_read(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, there = await world.both()
        assert here[1].can_write_eof()
        here[1].write(b"question")
        here[1].write_eof()
        assert await there[0].read() == b"question"
        there[1].write(b"answer")
        await there[1].drain()
        assert await here[0].readexactly(6) == b"answer"
        there[1].close()
        assert await here[0].read() == b""
        await there[1].wait_closed()

    run(scenario)


def test_lines_and_exact_reads(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        reader, writer = await world.connect()
        writer.writelines([b"first\n", bytearray(b"second\nre"), memoryview(b"st")])
        writer.write_eof()
        assert await reader.readline() == b"first\n"
        assert await reader.readexactly(9) == b"second\nre"
        assert await reader.read() == b"st"
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(1)

    run(scenario)


def test_drain_waits_for_a_reader_that_does_not_read(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, there = await world.both(limit=1 << 14)
        written = 0

        async def flood() -> None:
            nonlocal written
            while True:
                here[1].write(bytes(1 << 16))
                written += 1 << 16
                await here[1].drain()

        task = asyncio.create_task(flood())
        last = -1
        while last != written:  # no more goes in
            last = written
            await asyncio.sleep(0.1)
        assert not task.done()
        assert written < 64 << 20
        await there[0].readexactly(written // 2)
        await until(lambda: written > last)
        task.cancel()

    run(scenario)


def test_a_limit_bounds_lines(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        reader, writer = await world.connect(limit=100)
        writer.write(bytes(1000))
        with pytest.raises(asyncio.LimitOverrunError):
            await reader.readuntil(b"\n")

    run(scenario)


def test_a_plain_function_may_take_connections(run: Run) -> None:
    async def scenario(world: World) -> None:
        def callback(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"good-bye")
            writer.close()

        await world.serve(callback)
        reader, _ = await world.connect()
        assert await reader.read() == b"good-bye"

    run(scenario)


def test_a_server_that_closes_serves_on_those_it_has(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve(echo)
        assert server.is_serving()
        reader, writer = await world.connect()
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        server.close()
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await world.connect()
        waiting = asyncio.ensure_future(server.wait_closed())
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"
        assert not waiting.done()
        writer.close()
        await waiting

    run(scenario)


def test_a_server_is_an_asynchronous_context(run: Run) -> None:
    async def scenario(world: World) -> None:
        async with await world.serve(echo) as server:
            assert server.get_loop() is asyncio.get_running_loop()
            forever = asyncio.ensure_future(server.serve_forever())
            await asyncio.sleep(0)
            forever.cancel()
            with pytest.raises(asyncio.CancelledError):
                await forever
        assert not server.is_serving()

    run(scenario)


def test_a_hundred_at_once(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)

        async def call(number: int) -> int | None:
            reader, writer = await world.connect()
            info = connection_of(writer).info
            data = random.Random(number).randbytes(2000)
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == data
            writer.close()
            await writer.wait_closed()
            return info.token

        tokens = await asyncio.gather(*(call(number) for number in range(100)))
        expected = {None} if world.differs("multipath") else set(tokens)
        assert set(tokens) == expected
        assert len(expected) == (1 if world.differs("multipath") else 100)

    run(scenario)
