from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from plait.cli.stdio import HIGH, Input, Output


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await work()

    asyncio.run(bounded())


def test_input_passes_on_every_octet_and_the_end(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    path = tmp_path / "input"
    path.write_bytes(data)

    async def work() -> None:
        blocks: list[bytes] = []
        ended = asyncio.Event()

        def take(block: bytes) -> None:
            blocks.append(block)
            if not block:
                ended.set()

        with path.open("rb", buffering=0) as file:
            Input(take, file.fileno()).resume()
            await ended.wait()
        assert b"".join(blocks) == data

    run(work)


def test_paused_input_reads_at_most_the_block_under_way() -> None:
    async def work() -> None:
        reading, writing = os.pipe()
        blocks: asyncio.Queue[bytes] = asyncio.Queue()
        source = Input(blocks.put_nowait, reading)
        os.write(writing, b"first")
        await asyncio.sleep(0.05)
        assert blocks.empty()  # it starts paused
        source.resume()
        assert await blocks.get() == b"first"
        source.pause()  # while the thread waits for the second block already
        os.write(writing, b"second")
        assert await blocks.get() == b"second"
        os.write(writing, b"third")
        await asyncio.sleep(0.05)
        assert blocks.empty()
        source.resume()
        assert await blocks.get() == b"third"
        os.close(writing)
        assert await blocks.get() == b""
        os.close(reading)

    run(work)


def test_reading_leaves_the_descriptor_blocking() -> None:
    async def work() -> None:
        reading, writing = os.pipe()
        blocks: asyncio.Queue[bytes] = asyncio.Queue()
        Input(blocks.put_nowait, reading).resume()
        os.close(writing)
        assert await blocks.get() == b""
        assert os.get_blocking(reading)
        os.close(reading)

    run(work)


def test_output_is_full_until_it_has_caught_up() -> None:
    data = os.urandom(HIGH + 1)

    async def work() -> None:
        reading, writing = os.pipe()
        room = asyncio.Event()
        output = Output(room.set, lambda _: None, writing)
        output.write(data)
        assert output.full
        got = b""
        loop = asyncio.get_running_loop()
        while len(got) < len(data):
            got += await loop.run_in_executor(None, os.read, reading, 1 << 16)
        await room.wait()
        await output.drain()
        assert got == data
        assert not output.full
        os.close(reading)
        os.close(writing)

    run(work)


def test_output_that_nobody_reads_is_an_error_once() -> None:
    async def work() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        errors: list[OSError] = []
        output = Output(lambda: None, errors.append, writing)
        output.write(b"one")
        output.write(b"two")
        await output.drain()
        assert [type(error) for error in errors] == [BrokenPipeError]
        os.close(writing)

    run(work)
