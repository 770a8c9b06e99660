"""A path is cut in the middle of a transfer: nothing is lost while another one works."""

from __future__ import annotations

import asyncio
import random

import pytest
from interop.lab import Ends, Lab, Plan, connect, in_lab, send, subflows_up

from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.units import MILLISECOND

pytestmark = pytest.mark.privileged

SHAPE = LinkShape(rate=50_000_000, delay=5 * MILLISECOND)
SIZE = 4 << 20


class Cutting:
    """Emulation paths that a scenario cuts by number."""

    def __init__(self) -> None:
        self.paths: dict[int, Emulation] = {}

    def wrap(self, path: int, driver: Driver) -> Driver:
        self.paths[path] = Emulation(driver, SHAPE)
        return self.paths[path]


async def cut_in_the_middle(
    lab: Lab, cutting: Cutting, cut: tuple[int, ...], *, upload: bool
) -> tuple[bytes, bytes]:
    """Move random octets, cut paths after a third, and return what was sent and what arrived."""
    ours, theirs = await connect(lab, stack_connects=True)
    await subflows_up(lab, ours, theirs, 2)
    source, sink = (ours, theirs) if upload else (theirs, ours)
    data = random.Random(7).randbytes(SIZE)
    arrived = bytearray()

    async def drain(end: Ends) -> None:
        done = False
        while chunk := await end[0].read(1 << 16):
            arrived.extend(chunk)
            if not done and len(arrived) > SIZE // 3:
                done = True
                for path in cut:
                    cutting.paths[path].cut()

    await asyncio.gather(send(source, data), drain(sink))
    return data, bytes(arrived)


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-06")
@pytest.mark.parametrize("upload", [True, False], ids=["upload", "download"])
@pytest.mark.parametrize("path", [0, 1], ids=["first", "second"])
def test_a_cut_path_loses_nothing(path: int, upload: bool) -> None:
    cutting = Cutting()

    async def scenario(lab: Lab) -> None:
        sent, arrived = await cut_in_the_middle(lab, cutting, (path,), upload=upload)
        assert arrived == sent

    in_lab(Plan(paths=2, wrap=cutting.wrap), scenario)


def test_cutting_both_paths_stops_the_transfer() -> None:
    cutting = Cutting()

    async def scenario(lab: Lab) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await cut_in_the_middle(lab, cutting, (0, 1), upload=True)

    in_lab(Plan(paths=2, wrap=cutting.wrap), scenario)
