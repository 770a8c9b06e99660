"""Many connections that are opened, closed, given up, cut off and canceled leave nothing behind.

`PLAIT_CYCLES` says how many; the suite runs a few hundred of each row.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Final

import pytest
from support.api_world import ROWS, Streams, World, descriptors, play, silence

from plait.aio.stack import Stack
from plait.aio.streams import open_connection
from plait.host.settings import Settings
from plait.units import MILLISECOND

CYCLES: Final = int(os.environ.get("PLAIT_CYCLES", "300"))
AT_ONCE: Final = 10
BATCHES: Final = 3
"""What is left is counted after each."""

BRIEF: Final = Settings(
    time_wait=20 * MILLISECOND,
    subflow_time_wait=20 * MILLISECOND,
    orphan_timeout=500 * MILLISECOND,
)
"""What waits for a peer is no leak: the kernel's takes data that nobody will read."""

TINY: Final = 60
"""Objects that caches may gain in a batch."""

Act = Callable[[World, Random], Awaitable[object]]


async def connect(world: World, seconds: float | None = None) -> Streams:
    return await open_connection(
        world.address, world.port, backend=world.client, settings=BRIEF, timeout=seconds
    )


async def talk(world: World, draw: Random) -> None:
    reader, writer = await connect(world)
    try:
        sent = bytes(draw.randint(0, 100_000))
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
    finally:
        writer.close()
    await writer.wait_closed()


async def cut_off(world: World, draw: Random) -> None:
    _, writer = await connect(world)
    writer.write(bytes(draw.randint(0, 100_000)))
    await asyncio.sleep(draw.uniform(0, 0.002))
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def cancel(world: World, draw: Random) -> None:
    task = asyncio.ensure_future(talk(world, draw))
    await asyncio.sleep(draw.uniform(0, 0.01))
    task.cancel()
    with suppress(asyncio.CancelledError, OSError):
        await task


async def hurry(world: World, draw: Random) -> None:
    with suppress(TimeoutError):
        _, writer = await connect(world, seconds=draw.uniform(0.0001, 0.01))
        writer.close()
        await writer.wait_closed()


async def call_the_dead(world: World, draw: Random) -> None:
    with silence(world) as (host, port), pytest.raises(TimeoutError):
        await open_connection(
            host, port, backend=world.client, settings=BRIEF, timeout=draw.uniform(0.0001, 0.02)
        )


ACTS: Final[tuple[Act, ...]] = (talk, cut_off, cancel, hurry, call_the_dead)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def remains(world: World) -> tuple[int, int, int, list[int]]:
    """Return descriptors, tasks, objects and the connections of stacks."""
    gc.collect()
    ends = [end for end in (world.client, world.server) if isinstance(end, Stack)]
    return (
        descriptors(),
        len(asyncio.all_tasks()),
        len(gc.get_objects()),
        [len(end._host._connections.by_id) for end in ends],
    )


async def settle(world: World) -> None:
    """Wait until what was given up has ended."""
    for _ in range(300):
        await asyncio.sleep(0.02)
        _, tasks, _, connections = remains(world)
        if tasks == 1 and not any(connections):
            return


@pytest.mark.parametrize("row", ROWS)
def test_nothing_is_left_of_many_connections(row: str) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve(echo, settings=BRIEF)
        draw = Random(f"leaks {row}")
        done: Counter[str] = Counter()

        async def work(cycles: int) -> None:
            for _ in range(cycles):
                act = draw.choice(ACTS)
                await act(world, draw)
                done[act.__name__] += 1

        async def run(cycles: int) -> None:
            await asyncio.gather(*(work(cycles // AT_ONCE) for _ in range(AT_ONCE)))
            await settle(world)
            world.writers.clear()  # of the accepted connections

        counts = []
        for _ in range(BATCHES):
            await run(CYCLES // BATCHES)
            counts.append(remains(world))
        assert server.is_serving()
        assert min(done[act.__name__] for act in ACTS) > CYCLES / len(ACTS) / 2
        (descriptors, tasks, _, connections), *_, (later, others, _, left) = counts
        assert (later, others, any(left)) == (descriptors, tasks, False), connections
        growth = [after[2] - before[2] for before, after in pairwise(counts)]
        assert min(growth) < TINY  # a leak grows with every batch

    play(row, scenario, seconds=60 + CYCLES / 10)
