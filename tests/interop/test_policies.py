"""Every scheduler, controller, path manager and intent to the kernel, over two emulated paths.

Each row says which paths are to carry the stream; rows of which only one may are the controls of
the others.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from interop.lab import Ends, Lab, Plan, close, connect, greet, in_lab, until
from interop.rows import CALLS, SERVES, Case, Counted, heard, joined_by_kernel, joined_by_us

from plait.congestion import controllers
from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.host.intents import INTENTS
from plait.pathing import path_managers
from plait.scheduling import schedulers
from plait.units import MILLISECOND

pytestmark = pytest.mark.privileged

RATE = 20_000_000
"""Bits per second of either path."""

DELAYS = (10, 10)
FAR = (10, 60)
"""Milliseconds, one way.  A full queue of 30 ms does not make the first of these the slower."""

SIZE = 1_500_000
MUCH = SIZE // 20
"""Octets that a path with a part in the transfer carries at least."""

LITTLE = SIZE // 4
"""Octets of a path that has none: a machine that pauses makes the other one look silent.  A path
with a part in it carries about a half."""

BOTH = (True, True)
FIRST = (True, False)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A choice of policies and what becomes of it."""

    settings: dict[str, str]
    carries: tuple[bool, bool] | None = BOTH
    """The paths with a part in the stream; None leaves that to chance."""

    delays: tuple[int, int] = DELAYS
    joined: Counted = field(default_factory=joined_by_us)
    """The kernel's counters of joins."""

    stack_connects: bool = True
    counted: Counted = field(default_factory=dict)
    """Further counters of the kernel."""

    receives: bool = False
    """The kernel sends the stream."""


class Paths:
    """The emulated paths of one lab."""

    def __init__(self, delays: tuple[int, int]) -> None:
        self.delays = delays
        self.made: list[Emulation] = []

    def wrap(self, number: int, driver: Driver) -> Driver:
        """Put a path before its device."""
        delay = self.delays[number] * MILLISECOND
        path = Emulation(driver, LinkShape(rate=RATE, delay=delay, queue=50 * 1500))
        self.made.append(path)
        return path

    def carried(self, *, received: bool) -> list[int]:
        """Return the octets that crossed each path, headers counted."""
        return [(one.receiving if received else one.sending).octets for one in self.made]


async def move(sender: Ends, receiver: Ends, size: int = SIZE) -> None:
    """Send random octets one way to the end of the stream and compare their hashes."""
    data = random.Random(size).randbytes(size)
    sender[1].write(data)
    sender[1].write_eof()
    arrived = await receiver[0].read()
    assert sha256(arrived).digest() == sha256(data).digest()
    receiver[1].write_eof()


def joins(counted: Counted) -> int:
    """Return how many joins the kernel saw begin."""
    return counted.get("MPJoinSynRx", 0) + counted.get("MPJoinSynTx", 0)


def judge(row: Row, paths: Paths, counted: Counted) -> None:
    """Assert which paths carried the stream and what the kernel counted of joins."""
    expected = (SERVES if row.stack_connects else CALLS) | row.joined | row.counted
    assert {name: counted.get(name, 0) for name in expected} == expected
    assert joins(counted) == joins(row.joined)
    if row.carries is not None:
        carried = paths.carried(received=row.receives)
        for octets, part in zip(carried, row.carries, strict=True):
            assert octets > MUCH if part else octets < LITTLE, carried


def check(row: Row) -> None:
    """Run one row."""
    paths = Paths(row.delays)
    settings: dict[str, Any] = {"path_manager": "interfaces"} | row.settings
    plan = Plan(paths=2, checksum=False, settings=settings, wrap=paths.wrap)

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=row.stack_connects)
        await greet(ours, theirs)
        case = Case(lab, ours, theirs)
        await until(lambda: case.live() == 1 + joins(row.joined))
        ends = (theirs, ours) if row.receives else (ours, theirs)
        await move(*ends)
        judge(row, paths, lab.counted())
        await close((ours, theirs))

    in_lab(plan, scenario)


SCHEDULERS = {
    "active-standby": Row(settings={"scheduler": "active-standby"}, carries=FIRST),
    "blest": Row(settings={"scheduler": "blest"}),
    "cheap-first": Row(settings={"scheduler": "cheap-first"}, carries=FIRST),
    "cheap-first:overflow_ms=20": Row(settings={"scheduler": "cheap-first:overflow_ms=20"}),
    "default": Row(settings={"scheduler": "default"}),
    "ecf": Row(settings={"scheduler": "ecf"}),
    "load-split": Row(settings={"scheduler": "load-split"}),
    "priority": Row(settings={"scheduler": "priority"}),
    "redundant": Row(settings={"scheduler": "redundant"}),
    "round-robin": Row(settings={"scheduler": "round-robin"}),
    "smallest-delay": Row(settings={"scheduler": "smallest-delay"}, delays=FAR, carries=FIRST),
}

MANAGERS = {
    "default": Row(settings={"path_manager": "default"}, joined={}, carries=FIRST),
    "fullmesh": Row(settings={"path_manager": "fullmesh"}),
    "fullmesh, listening": Row(
        settings={"path_manager": "fullmesh"},
        stack_connects=False,
        joined=joined_by_kernel(),
        counted=heard(),
    ),
    "interfaces": Row(settings={"path_manager": "interfaces"}),
    "ndiffports": Row(
        settings={"path_manager": "ndiffports"}, joined=joined_by_us(3), carries=FIRST
    ),
    "signal": Row(settings={"path_manager": "signal"}, joined=joined_by_kernel(), counted=heard()),
    "signal, listening": Row(
        settings={"path_manager": "signal"},
        stack_connects=False,
        joined=joined_by_kernel(),
        counted=heard(),
    ),
}

INTENDED = {
    "handover": Row(settings={}, carries=FIRST, counted={"MPJoinSynBackupRx": 1}),
    "interactive": Row(settings={}, delays=FAR, carries=FIRST),
    "aggregate": Row(settings={}),
    "redundant": Row(settings={}),
    "cheap-first": Row(settings={}, carries=FIRST),
}


def intended(name: str, *, receives: bool = False) -> Row:
    """Return the row of an intent."""
    row, intent = INTENDED[name], INTENTS[name]
    settings = {
        "path_manager": intent.path_manager,
        "scheduler": intent.scheduler,
        "congestion": intent.congestion,
    }
    carries = row.carries
    if receives and name != "handover":
        carries = BOTH if row.delays == DELAYS else None
    return Row(
        settings=settings,
        carries=carries,
        delays=row.delays,
        counted=row.counted,
        receives=receives,
    )


def test_no_policy_is_left_out() -> None:
    names = {row.settings["scheduler"] for row in SCHEDULERS.values()}
    assert names >= set(schedulers.names())
    assert {row.settings["path_manager"] for row in MANAGERS.values()} >= set(BUILTIN_MANAGERS)
    assert INTENDED.keys() == INTENTS.keys()


BUILTIN_MANAGERS = [name for name in path_managers.names() if name != "obedient"]
"""Without the one that `interop.rows` adds."""


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_use_the_paths_they_are_for(name: str) -> None:
    check(SCHEDULERS[name])


@pytest.mark.parametrize("name", controllers.names())
def test_controllers_fill_both_paths(name: str) -> None:
    check(Row(settings={"congestion": name}))


@pytest.mark.parametrize("name", MANAGERS)
def test_path_managers_open_what_they_say(name: str) -> None:
    check(MANAGERS[name])


@pytest.mark.parametrize("receives", [False, True], ids=["sends", "receives"])
@pytest.mark.parametrize("name", INTENTS)
def test_intents_use_the_paths_they_are_for(name: str, receives: bool) -> None:
    check(intended(name, receives=receives))


@pytest.mark.parametrize("stack_connects", [True, False], ids=["connects", "listens"])
def test_the_default_set_receives_over_both_paths(stack_connects: bool) -> None:
    check(
        Row(
            settings={"path_manager": "fullmesh"},
            stack_connects=stack_connects,
            joined=joined_by_us() if stack_connects else joined_by_kernel(),
            receives=True,
        )
    )
