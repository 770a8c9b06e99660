"""Lost subflows come back, with back-off, where that may help."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.world import FAR, NEAR, World

from plait.addresses import Path
from plait.host.events import SubflowUp
from plait.host.settings import Settings
from plait.mptcp import fallback, healing
from plait.mptcp.connection import Connection
from plait.mptcp.state import Mode
from plait.mptcp.subflow import Subflow
from plait.mptcp.troubles import Loss
from plait.tcp.state import Failure
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.mptcp.mp_tcprst import (
    ADMINISTRATIVELY_PROHIBITED,
    LACK_OF_RESOURCES,
    MIDDLEBOX_INTERFERENCE,
    UNACCEPTABLE_PERFORMANCE,
    MpTcprst,
)
from plait.wire.segment import Segment

MESH = Settings(path_manager="fullmesh")
SECOND_PATH = 1
"""Index of the subflow that is lost."""


def lose(world: World, *options: MpTcprst) -> None:
    """Let the listener reset the second subflow, and the initiator hear of it."""
    connection = world.listener.connection
    subflow = next(one for one in connection.subflows[1:] if one.alive)
    subflow.tcp.abort(options)
    connection.on_subflow_ended(world.now, subflow)
    world.listener.host.write(world.now, world.listener.connection_id, b"now")


def joins(world: World, since: Nanos) -> list[Nanos]:
    """Return when the initiator asked to join, counted from a time."""
    return [
        at - since
        for at, segment in world.initiator.line.sent
        if at >= since and any(isinstance(one, MpJoinSyn) for one in segment.options)
    ]


RESETS: dict[str, tuple[tuple[MpTcprst, ...], bool]] = {
    "without a reason": ((), True),
    "for now": ((MpTcprst(LACK_OF_RESOURCES, transient=True),), True),
    "for good": ((MpTcprst(ADMINISTRATIVELY_PROHIBITED),), False),
    "by a middlebox": ((MpTcprst(MIDDLEBOX_INTERFERENCE),), False),
}


@pytest.mark.rfc("8684", "3.6", "M8684-3.6-02", "M8684-3.6-04", "M8684-3.6-05")
@pytest.mark.parametrize("manager", ["fullmesh", "interfaces"])
@pytest.mark.parametrize(("options", "again"), RESETS.values(), ids=RESETS.keys())
def test_a_subflow_that_was_reset_comes_back_unless_it_may_not(
    options: tuple[MpTcprst, ...], again: bool, manager: str
) -> None:
    world = World(replace(MESH, path_manager=manager))
    world.start()
    lost_at = world.now
    lose(world, *options)
    world.run(900 * MILLISECOND)
    assert joins(world, lost_at) == []
    world.run(120 * SECOND)
    assert len(joins(world, lost_at)) == again
    assert len(world.initiator.heard(SubflowUp)) == 2 + again


def test_the_first_subflow_comes_back_by_a_join() -> None:
    world = World(MESH, near=NEAR[:1])
    world.start(subflows=1)
    connection = world.listener.connection
    connection.subflows[0].tcp.abort(())
    connection.on_subflow_ended(world.now, connection.subflows[0])
    world.run(5 * SECOND)
    assert len(world.initiator.heard(SubflowUp)) == 2
    assert world.initiator.connection.mode is Mode.MPTCP


@pytest.mark.parametrize("most", [4, 60])
def test_a_subflow_that_is_lost_again_and_again_comes_back_ever_later(most: int) -> None:
    world = World(replace(MESH, rejoin_delay_max=most * SECOND))
    world.start()
    gaps: list[int] = []
    for _ in range(9):
        lost_at = world.now
        lose(world)
        world.run(most * SECOND + SECOND)
        (gap,) = joins(world, lost_at)
        gaps.append(round(gap / SECOND))
        world.now = lost_at + gap + SECOND // 10
    assert gaps == [min(2**number, most) for number in range(9)]


def test_one_that_lasted_is_no_repeated_failure() -> None:
    world = World(MESH)
    world.start()
    for _ in range(3):
        lost_at = world.now
        lose(world)
        world.run(200 * SECOND)
        (gap,) = joins(world, lost_at)
        assert SECOND <= gap < SECOND + 100 * MILLISECOND


def test_0_switches_it_off() -> None:
    world = World(replace(MESH, rejoin_delay=0))
    world.start()
    lost_at = world.now
    lose(world)
    world.run(300 * SECOND)
    assert joins(world, lost_at) == []


def test_a_path_that_stays_dead_is_tried_on_until_it_works() -> None:
    settings = replace(MESH, syn_retries=1, retries=3)
    world = World(settings, MESH)
    world.start()
    dead = NEAR[1].packed
    cut_at = world.now

    def hook(now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        gone = segment.flow.startswith(dead) and now < cut_at + 100 * SECOND
        return [] if gone else [(0, segment)]

    world.initiator.line.hook = hook
    lose(world)
    for _ in range(100):
        world.listener.host.write(world.now, world.listener.connection_id, b"x" * 1000)
        world.run(2 * SECOND)
    tries = joins(world, cut_at)
    assert 3 <= len(tries) <= 20
    assert len(world.initiator.heard(SubflowUp)) == 3


def test_an_address_that_comes_back_is_used_at_once() -> None:
    world = World(MESH)
    world.start()
    host = world.initiator.host
    host.on_local_address(world.now, NEAR[1], present=False)
    world.run(10 * SECOND)
    came_at = world.now
    host.on_local_address(world.now, NEAR[1], present=True)
    world.run(SECOND)
    assert joins(world, came_at) == [0]
    assert len(world.initiator.heard(SubflowUp)) == 3


@pytest.mark.rfc("8684", "3.9.3", "M8684-3.9.3-03")
def test_a_refused_join_is_not_tried_again_even_if_another_address_comes() -> None:
    world = World(MESH, replace(MESH, max_subflows=1), near=NEAR)
    world.start(subflows=1)
    another = ip_address("10.0.3.1")
    world.initiator.host.on_local_address(world.now, another, present=True)
    world.run(300 * SECOND)
    subflows = world.initiator.connection.subflows
    assert [subflow.path.local for subflow in subflows] == [*NEAR, another]


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_our_reset_of_a_bad_path_is_followed_by_another_try(version: str) -> None:
    world = World(replace(MESH, bad_path_timeouts=2, mptcp_versions=version))
    world.start()
    connection = world.initiator.connection
    subflow = connection.subflows[SECOND_PATH]
    fallback.reset(connection, world.now, subflow, UNACCEPTABLE_PERFORMANCE)
    world.run(3 * SECOND)
    assert len(world.initiator.heard(SubflowUp)) == 3


def test_memory_is_bounded() -> None:
    world = World(MESH)
    world.start()
    connection: Connection = world.initiator.connection
    subflow: Subflow = connection.subflows[SECOND_PATH]
    subflow.tcp.failure = Failure.RESET
    for port in range(1, 1000):
        subflow.path = Path(NEAR[1], 40_000, FAR[0], port)
        healing.on_ended(connection, world.now, subflow)
    losses = connection.troubles.losses
    assert losses is not None
    assert len(losses) == healing.MAX_PAIRS
    assert all(isinstance(one, Loss) for one in losses.values())
