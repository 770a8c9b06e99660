"""Subflows and paths that fail: resets of every kind, boxes that reset, links that go and come."""

from __future__ import annotations

import asyncio
import random

import pytest
from interop.faults import Resetter, boxed
from interop.lab import Ends, Lab, Plan, connect, exchange, in_lab, send, subflows_up
from interop.rows import (
    PASSIVE,
    SERVES,
    Act,
    Case,
    Counted,
    Row,
    check,
    join,
    joined_by_us,
    params,
    steps,
    until_counted,
    until_live,
)

from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.mptcp import fallback
from plait.units import MILLISECOND

pytestmark = pytest.mark.privileged

SHAPE = LinkShape(rate=50_000_000, delay=5 * MILLISECOND)
SIZE = 4 << 20
JOINED = SERVES | joined_by_us()
RETURN = 1.5
"""Seconds within which both sides repeat what a link lost."""


def reset(number: int, reason: int) -> Act:
    """Give one of our subflows up with a reason of RFC 8684, 3.6."""

    def act(case: Case) -> None:
        subflow = case.subflow(number)
        case.change(lambda: fallback.reset(case.connection, case.now(), subflow, reason))

    return act


def boxed_reset(*, outbound: bool, path: int) -> Row:
    """Return a row where a box turns data into a RST."""
    resetter = Resetter()

    def act(_: Case) -> None:
        resetter.armed = True

    return Row(
        plan=Plan(paths=2, wrap=boxed(resetter, outbound=outbound, path=path)),
        subflows=2,
        act=act,
        counted=JOINED,
        size=400_000,
    )


RESETS = {
    "none (control)": Row(plan=Plan(paths=2), subflows=2, counted=JOINED),
} | {
    f"{which} subflow, by us, reason {reason}": Row(
        plan=Plan(paths=2),
        subflows=2,
        act=steps(reset(number, reason), until_counted("MPRstRx")),
        left=1,
        counted=JOINED | {"MPRstRx": 1},
    )
    for number, which in enumerate(("first", "second"))
    for reason in (0, 1, 2, 3, 4, 5, 6)
} | {
    "second, and joined again": Row(
        plan=Plan(paths=2, settings=PASSIVE | {"rejoin_delay": MILLISECOND}),
        act=steps(
            join(1), until_live(2), reset(1, 2), until_counted("MPRstRx"), join(1), until_live(2)
        ),
        left=2,
        counted=SERVES | joined_by_us(2) | {"MPRstRx": 1},
    ),
    "second, for good": Row(
        plan=Plan(paths=2, settings=PASSIVE | {"rejoin_delay": MILLISECOND}),
        act=steps(join(1), until_live(2), reset(1, 1), until_counted("MPRstRx"), join(1)),
        left=1,
        counted=SERVES | joined_by_us() | {"MPRstRx": 1},
    ),
} | {
    f"{which} subflow, by a box, to {'the kernel' if outbound else 'us'}": boxed_reset(
        outbound=outbound, path=path
    )
    for outbound in (True, False)
    for path, which in enumerate(("first", "second"))
}  # fmt: skip


@pytest.mark.rfc("8684", "3.6", "M8684-3.6-01")
@pytest.mark.rfc("8684", "3.6", "M8684-3.6-07")
@pytest.mark.parametrize("row", params(RESETS))
def test_a_subflow_that_is_reset_costs_no_octet(row: Row) -> None:
    check(row)


class Cutting:
    """Emulated paths that a scenario cuts by number."""

    def __init__(self) -> None:
        self.paths: dict[int, Emulation] = {}

    def wrap(self, path: int, driver: Driver) -> Driver:
        self.paths[path] = Emulation(driver, SHAPE)
        return self.paths[path]


async def cut_in_the_middle(
    lab: Lab, cutting: Cutting, cut: tuple[int, ...], *, upload: bool, silence: float = 0
) -> tuple[bytes, bytes]:
    """Move random octets, cut paths after a third, and return what was sent and what arrived.

    `silence` is the seconds after which they carry again, 0 for never.
    """
    ours, theirs = await connect(lab, stack_connects=True)
    await subflows_up(lab, ours, theirs, 2)
    source, sink = (ours, theirs) if upload else (theirs, ours)
    data = random.Random(7).randbytes(SIZE)
    arrived = bytearray()
    loop = asyncio.get_running_loop()

    async def drain(end: Ends) -> None:
        done = False
        while chunk := await end[0].read(1 << 16):
            arrived.extend(chunk)
            if not done and len(arrived) > SIZE // 3:
                done = True
                for path in cut:
                    cutting.paths[path].cut()
                    if silence:
                        loop.call_later(silence, cutting.paths[path].restore)

    await asyncio.gather(send(source, data), drain(sink))
    return data, bytes(arrived)


CUTS: dict[str, tuple[tuple[int, ...], float]] = {
    "first": ((0,), 0),
    "second": ((1,), 0),
    "first, for a while": ((0,), 0.3),
    "second, for a while": ((1,), 0.3),
    "both, for a while": ((0, 1), 0.3),
}


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-06")
@pytest.mark.parametrize("upload", [True, False], ids=["upload", "download"])
@pytest.mark.parametrize("name", CUTS)
def test_a_cut_path_loses_nothing(name: str, upload: bool) -> None:
    cutting = Cutting()
    cut, silence = CUTS[name]

    async def scenario(lab: Lab) -> None:
        sent, arrived = await cut_in_the_middle(lab, cutting, cut, upload=upload, silence=silence)
        assert arrived == sent
        assert lab.counted() == JOINED

    in_lab(Plan(paths=2, wrap=cutting.wrap), scenario)


def test_cutting_both_paths_stops_the_transfer() -> None:
    cutting = Cutting()

    async def scenario(lab: Lab) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await cut_in_the_middle(lab, cutting, (0, 1), upload=True)

    in_lab(Plan(paths=2, wrap=cutting.wrap), scenario)


def down_and_up(number: int) -> Act:
    """Take the kernel's end of a link down, move something, and bring it up again."""

    async def act(case: Case) -> None:
        case.lab.ip(f"link set tun{number} down")
        await exchange(case.ours, case.theirs, 50_000, end_stream=False)
        case.lab.ip(f"link set tun{number} up")
        await asyncio.sleep(RETURN)  # what the path held is repeated before the stream ends

    return act


LINKS: dict[str, tuple[int, Counted]] = {"first": (0, {}), "second": (1, {})}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_that_goes_down_and_up_costs_no_octet(name: str) -> None:
    number, extra = LINKS[name]
    check(
        Row(
            plan=Plan(paths=2, monitor=False),
            subflows=2,
            act=down_and_up(number),
            counted=JOINED | extra,
        )
    )
