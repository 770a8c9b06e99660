"""CUBIC against the curves of RFC 9438."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.congestion.base import AckSample, CongestionController
from plait.congestion.cubic import BETA, C, Cubic
from plait.congestion.reno import Reno
from plait.units import MILLISECOND, SECOND, Nanos, Octets

MSS = 1000
RTT = 100 * MILLISECOND


def sample(
    now: Nanos, acked: Octets = MSS, *, srtt: Nanos = RTT, app_limited: bool = False
) -> AckSample:
    return AckSample(now, acked, 0, srtt, app_limited)


def after_loss(segments: int) -> Cubic:
    """Return a controller whose window of this many segments met a loss."""
    cubic = Cubic(MSS)
    cubic.cwnd = cubic.ssthresh = segments * MSS
    cubic.on_loss(0, segments * MSS)
    return cubic


def grow(cubic: Cubic, now: Nanos, span: Nanos, *, rtt: Nanos = RTT) -> Nanos:
    """Acknowledge a full window each round trip for some time; return the time after it."""
    stop = now + span
    while now < stop:
        window = cubic.cwnd // MSS
        for at in range(window):
            cubic.on_ack(sample(now + at * rtt // window, srtt=rtt))
        now += rtt
    return now


@pytest.mark.rfc("9438", "4.6", "B9438-01")
def test_a_loss_takes_three_tenths() -> None:
    cubic = after_loss(100)
    assert (cubic.cwnd, cubic.ssthresh) == (70_000, 70_000)
    assert cubic.w_max == 100.0


@pytest.mark.rfc("8511", "4.1", "B3168-02")
def test_a_mark_takes_less_than_a_loss() -> None:
    cubic = after_loss(100)
    cubic.on_congestion_mark(0, 70_000)
    assert cubic.cwnd == cubic.ssthresh == 59_500


@pytest.mark.rfc("9438", "4.2", "B9438-01")
@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0, 1.5])
def test_the_window_follows_the_cubic_curve(fraction: float) -> None:
    segments = 1000
    cubic = after_loss(segments)
    k = (segments * (1 - BETA) / C) ** (1 / 3)
    span = int(fraction * k * SECOND)
    grow(cubic, 0, span)
    expected = C * (fraction * k - k) ** 3 + segments
    assert cubic.cwnd / MSS == pytest.approx(expected, rel=0.03)


@pytest.mark.rfc("9438", "4.3", "B9438-02")
def test_in_the_friendly_region_it_keeps_up_with_reno_of_its_decrease() -> None:
    cubic = after_loss(20)
    rtt = 10 * MILLISECOND
    rounds = 10
    grow(cubic, 0, rounds * rtt, rtt=rtt)
    alpha = 3 * (1 - BETA) / (1 + BETA)
    assert cubic.cwnd / MSS == pytest.approx(14 + alpha * rounds, rel=0.05)


@pytest.mark.rfc("9438", "4.7", "B9438-02")
def test_fast_convergence_gives_way_after_a_second_loss() -> None:
    cubic = after_loss(100)
    cubic.on_loss(0, 70_000)
    assert cubic.w_max == pytest.approx(70 * (1 + BETA) / 2)


@pytest.mark.rfc("9438", "4.4", "B9438-01")
def test_one_round_never_more_than_half_again() -> None:
    cubic = after_loss(10)
    cubic.on_ack(sample(0))
    before = cubic.cwnd
    for _ in range(before // MSS):
        cubic.on_ack(sample(3600 * SECOND))
    assert before < cubic.cwnd <= 1.5 * before + MSS


def test_slow_start_is_renos() -> None:
    cubic = Cubic(MSS)
    cubic.on_ack(sample(0, 10 * MSS))
    assert cubic.cwnd == 20_000


def test_time_without_use_of_the_window_does_not_count() -> None:
    used, idle = after_loss(100), after_loss(100)
    for cubic in (used, idle):
        cubic.on_ack(sample(0))
    idle.on_ack(sample(60 * SECOND, app_limited=True))
    assert idle.cwnd == used.cwnd
    grow(used, 0, SECOND)
    grow(idle, 60 * SECOND, SECOND)
    assert idle.cwnd == pytest.approx(used.cwnd, rel=0.01)


calls = st.lists(
    st.tuples(
        st.sampled_from(["ack", "limited", "loss", "timeout", "idle"]),
        st.integers(1, 200_000),
        st.integers(0, 2 * SECOND),
    ),
    max_size=60,
)


@pytest.mark.rfc("5681", "3.1", "B5681-01")
@pytest.mark.parametrize("kind", [Cubic, Reno])
@given(calls=calls)
def test_no_sequence_of_calls_breaks_the_bounds(
    kind: type[CongestionController], calls: list[tuple[str, int, int]]
) -> None:
    controller = kind(MSS)
    now = 0
    for call, octets, span in calls:
        now += span
        before = controller.cwnd
        if call == "ack":
            controller.on_ack(sample(now, octets))
            assert before <= controller.cwnd <= before + max(octets, before // 2 + MSS)
        elif call == "limited":
            controller.on_ack(sample(now, octets, app_limited=True))
            assert controller.cwnd == before
        elif call == "loss":
            controller.on_loss(now, min(octets, before))
            assert 2 * MSS <= controller.cwnd <= max(before, 2 * MSS)
            assert controller.cwnd == controller.ssthresh
        elif call == "timeout":
            controller.on_timeout(now, min(octets, before))
            assert controller.cwnd == MSS
            assert controller.ssthresh >= 2 * MSS
        else:
            controller.on_idle(now)
            assert controller.cwnd <= before


@pytest.mark.rfc("9438", "4.9.2", "B9438-02")
@pytest.mark.parametrize("timeout", [True, False])
def test_a_spurious_loss_leaves_no_trace(timeout: bool) -> None:
    touched, spared = after_loss(100), after_loss(100)
    now = grow(touched, 0, 3 * SECOND)
    grow(spared, 0, 3 * SECOND)
    touched.checkpoint()
    if timeout:
        touched.on_timeout(now, touched.cwnd)
    else:
        touched.on_loss(now, touched.cwnd)
    touched.on_spurious_loss(now)
    assert (touched.cwnd, touched.ssthresh) == (spared.cwnd, spared.ssthresh)
    grow(touched, now, 3 * SECOND)
    grow(spared, now, 3 * SECOND)
    assert touched.cwnd == pytest.approx(spared.cwnd, abs=MSS)
