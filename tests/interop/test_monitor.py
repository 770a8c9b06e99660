from __future__ import annotations

import asyncio
import time

import pytest
from interop.lab import Ends, Lab, Plan, connect, greet, in_lab, subflows_up, until

from plait.aio.connection import connection_of
from plait.aio.happenings import Happening
from plait.host.events import SubflowDown, SubflowUp

CHUNK = bytes(1 << 14)
SECONDS = 1.0
"""In which a transfer has to go on."""


async def pour(end: Ends, stop: asyncio.Event) -> None:
    """Write until told to stop, little by little so that no buffer hides a gap."""
    while not stop.is_set():
        end[1].write(CHUNK)
        await end[1].drain()
        await asyncio.sleep(0.002)


async def gap(end: Ends, seconds: float) -> float:
    """Read for so long, and return the longest time that nothing came."""
    loop = asyncio.get_running_loop()
    last, longest, until_then = loop.time(), 0.0, loop.time() + seconds
    while loop.time() < until_then:
        try:
            async with asyncio.timeout_at(until_then):
                await end[0].read(1 << 16)
        except TimeoutError:
            break
        longest, last = max(longest, loop.time() - last), loop.time()
    return max(longest, loop.time() - last)


def events_of(happenings: list[Happening], kind: type) -> int:
    return sum(isinstance(happening.event, kind) for happening in happenings)


PLAN = Plan(paths=2, settings={"rejoin_delay": 50_000_000})


def test_a_link_that_goes_down_takes_its_subflow_and_brings_it_back() -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, 2)
        happenings = connection_of(ours[1]).events()
        happenings.take()
        stop = asyncio.Event()
        pouring = asyncio.create_task(pour(ours, stop))
        await gap(theirs, 0.2)
        lab.ip("link set tun1 down")
        assert await gap(theirs, 1.5) < SECONDS
        told = happenings.take()
        assert events_of(told, SubflowDown) == 1
        assert lab.counted()["RmAddr"] == 1
        lab.ip("link set tun1 up")
        await until(lambda: len(connection_of(ours[1]).paths) == 2)
        assert events_of(happenings.take(), SubflowUp) == 1
        stop.set()
        await pouring

    in_lab(PLAN, scenario)


def test_the_link_of_the_first_subflow_may_go_too() -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, 2)
        lab.ip("link set tun0 down")
        started = time.monotonic()
        await greet(ours, theirs)
        assert time.monotonic() - started < SECONDS
        assert lab.counted()["RmAddr"] == 1

    in_lab(PLAN, scenario)


@pytest.mark.parametrize("monitor", [True, False])
def test_without_a_monitor_nothing_is_told(monitor: bool) -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, 2)
        lab.ip("link set tun1 down")
        await asyncio.sleep(0.3)
        await greet(ours, theirs)
        assert lab.counted().get("RmAddr", 0) == int(monitor)

    in_lab(Plan(paths=2, monitor=monitor), scenario)
