"""NewReno against the numbers of RFC 5681."""

from __future__ import annotations

import pytest

from plait.congestion.base import INFINITE, AckSample
from plait.congestion.reno import Reno
from plait.units import MILLISECOND, Octets

MSS = 1000


def sample(acked: Octets, in_flight: Octets = 0, *, app_limited: bool = False) -> AckSample:
    return AckSample(0, acked, in_flight, 100 * MILLISECOND, app_limited)


def avoiding(cwnd: Octets) -> Reno:
    """Return a controller in congestion avoidance."""
    reno = Reno(MSS)
    reno.cwnd = reno.ssthresh = cwnd
    return reno


@pytest.mark.rfc("5681", "3.1", "B5681-01")
def test_slow_start_doubles_the_window_each_round() -> None:
    reno = Reno(MSS)
    windows = []
    for _ in range(4):
        windows.append(reno.cwnd)
        for _ in range(reno.cwnd // MSS):
            reno.on_ack(sample(MSS))
    assert windows == [10_000, 20_000, 40_000, 80_000]


@pytest.mark.rfc("5681", "3.1", "B5681-01")
@pytest.mark.parametrize("cwnd", [2 * MSS, 10 * MSS, 100 * MSS])
def test_avoidance_adds_a_segment_each_round(cwnd: Octets) -> None:
    reno = avoiding(cwnd)
    for _ in range(cwnd // MSS):
        assert reno.cwnd == cwnd
        reno.on_ack(sample(MSS))
    assert reno.cwnd == cwnd + MSS


def test_slow_start_ends_at_ssthresh() -> None:
    reno = Reno(MSS)
    reno.ssthresh = 11_500
    reno.on_ack(sample(4 * MSS))
    assert reno.cwnd == 11_500


@pytest.mark.rfc("5681", "3.1", "B5681-01")
@pytest.mark.parametrize(
    ("in_flight", "after"), [(100_000, 50_000), (5_000, 2_500), (3_999, 2_000), (0, 2_000)]
)
def test_a_loss_halves_what_is_in_flight_but_leaves_two_segments(
    in_flight: Octets, after: Octets
) -> None:
    reno = Reno(MSS)
    reno.on_loss(0, in_flight)
    assert (reno.cwnd, reno.ssthresh) == (after, after)


@pytest.mark.rfc("5681", "3.1", "B5681-01")
def test_a_time_out_leaves_one_segment() -> None:
    reno = Reno(MSS)
    reno.on_timeout(0, 100_000)
    assert (reno.cwnd, reno.ssthresh) == (MSS, 50_000)


@pytest.mark.rfc("5681", "4.1", "B5681-01")
@pytest.mark.parametrize(("cwnd", "after"), [(100_000, 10_000), (3_000, 3_000)])
def test_idleness_restarts_from_the_initial_window(cwnd: Octets, after: Octets) -> None:
    reno = avoiding(cwnd)
    reno.on_idle(0)
    assert reno.cwnd == after


def test_a_window_that_is_not_used_does_not_grow() -> None:
    reno = Reno(MSS)
    reno.on_ack(sample(10 * MSS, app_limited=True))
    assert reno.cwnd == 10_000


@pytest.mark.rfc("6928", "2", "B6928-01")
@pytest.mark.parametrize(
    ("mss", "window"), [(536, 5360), (1000, 10_000), (1460, 14_600), (2000, 14_600), (9000, 18_000)]
)
def test_initial_window_of_rfc_6928(mss: Octets, window: Octets) -> None:
    reno = Reno(mss)
    assert reno.cwnd == window
    assert reno.ssthresh == INFINITE


def test_another_segment_size_rescales_only_an_untouched_window() -> None:
    reno = Reno(1460)
    reno.on_mss(1000)
    assert reno.cwnd == 10_000
    reno.on_ack(sample(500))
    reno.on_mss(500)
    assert (reno.mss, reno.cwnd) == (500, 10_500)


@pytest.mark.rfc("8511", "3", "B3168-02")
def test_a_mark_takes_a_fifth() -> None:
    reno = avoiding(20 * MSS)
    reno.on_congestion_mark(0, 20 * MSS)
    assert reno.cwnd == reno.ssthresh == 16 * MSS
