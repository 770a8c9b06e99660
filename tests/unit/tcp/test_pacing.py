"""Pacing: how much leaves when, and what it costs a transfer that is paced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.world import NEAR, World

from plait.congestion.base import INFINITE, MAX_SEGMENT, send_quantum
from plait.congestion.cubic import Cubic
from plait.host.settings import Settings
from plait.tcp.pacing import LATENESS, Pacer
from plait.tcp.receiver import NEVER
from plait.units import MILLISECOND, SECOND, Nanos, Octets
from plait.wire.segment import Segment

MS = MILLISECOND
MSS = 1000
RATE = 10_000_000


def paced(rate: int) -> Pacer:
    controller = Cubic(MSS)
    controller.pacing_rate = rate
    return Pacer(controller)


@pytest.mark.parametrize(
    ("rate", "octets"),
    [(1, 2 * MSS), (2_500_000, 2 * MSS), (7_900_000, 7 * MSS), (10**9, 65 * MSS)],
)
def test_a_burst_is_about_a_millisecond(rate: int, octets: Octets) -> None:
    assert send_quantum(rate, MSS) == octets <= MAX_SEGMENT


def test_the_next_burst_waits_until_this_one_has_passed() -> None:
    pacer = paced(RATE)
    now = SECOND
    length = pacer.budget(now, 0)
    pacer.on_sent(now, length)
    late = LATENESS  # a first burst is as late as any may be
    due = now - late + length * SECOND // RATE
    assert pacer.deadline == max(due, now)
    assert pacer.budget(due - 1, 0) == 0
    assert pacer.budget(due, 0) == 10 * MSS


def test_lateness_is_made_up_for_within_bounds() -> None:
    pacer = paced(RATE)
    pacer.budget(SECOND, 0)
    pacer.on_sent(SECOND, 30 * MSS)
    due = pacer.deadline
    assert pacer.budget(due + MS, 0) == 20 * MSS
    assert pacer.budget(due + 3600 * SECOND, 0) == 10 * MSS + LATENESS * RATE // SECOND


@given(lateness=st.lists(st.integers(0, LATENESS - 1), min_size=20, max_size=60))
def test_timers_that_are_late_do_not_lower_the_rate(lateness: list[Nanos]) -> None:
    pacer = paced(RATE)
    now = SECOND
    pacer.on_sent(now, pacer.budget(now, 0))
    sent = 0
    began = now
    for late in lateness:
        now = max(now, pacer.deadline) + late
        length = pacer.budget(now, 0)
        pacer.on_sent(now, length)
        sent += length
    slack = 2 * pacer.quantum() + 2 * LATENESS * RATE // SECOND
    assert abs(sent - (now - began) * RATE // SECOND) <= slack


def test_without_a_rate_nothing_waits() -> None:
    pacer = Pacer(Cubic(MSS))
    assert pacer.budget(0, 0) == MAX_SEGMENT
    pacer.on_sent(0, MAX_SEGMENT)
    assert pacer.deadline == NEVER


@pytest.mark.parametrize(("ssthresh", "gain"), [(INFINITE, 2.0), (20 * MSS, 1.2)])
def test_a_window_is_spread_over_less_than_a_round_trip(ssthresh: Octets, gain: float) -> None:
    controller = Cubic(MSS)
    controller.cwnd, controller.ssthresh = 20 * MSS, ssthresh
    pacer = Pacer(controller)
    pacer.budget(0, 100 * MS)
    assert pacer.rate == pytest.approx(gain * 20 * MSS * 10, rel=0.001)


@pytest.mark.rfc("9937", "6", "B9937-03")
@pytest.mark.parametrize("pacing", [True, False])
def test_a_paced_transfer_leaves_in_small_bursts(pacing: bool) -> None:
    world = World(Settings(mptcp=False, pacing=pacing), near=NEAR[:1], whole=False)
    world.start(subflows=1)
    bursts: dict[Nanos, int] = {}

    def hook(now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        if segment.length:
            bursts[now] = bursts.get(now, 0) + segment.length
        return [(0, segment)]

    world.initiator.line.hook = hook
    world.initiator.to_send = bytes(400_000)
    world.run(2 * SECOND)
    assert len(world.listener.received) == 400_000
    assert (bursts[min(bursts)] < 10 * 1448) is pacing
    assert (len(bursts) > 30) is pacing
