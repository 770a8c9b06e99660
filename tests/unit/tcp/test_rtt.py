"""Round-trip times against RFC 6298."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tcp.rtt import RttEstimator
from plait.tcp.settings import TcpSettings
from plait.units import MILLISECOND, SECOND, Nanos

MS = MILLISECOND


def estimator(*samples: Nanos) -> RttEstimator:
    made = RttEstimator(TcpSettings())
    for rtt in samples:
        made.on_sample(rtt)
    return made


@pytest.mark.rfc("6298", "2.1", "B6298-01")
def test_before_the_first_sample_the_rto_is_a_second() -> None:
    assert estimator().rto == SECOND


@pytest.mark.rfc("6298", "2.2", "B6298-01")
def test_the_first_sample_sets_srtt_and_half_of_it_rttvar() -> None:
    made = estimator(400 * MS)
    assert (made.srtt, made.rttvar, made.rto) == (400 * MS, 200 * MS, 1200 * MS)


@pytest.mark.rfc("6298", "2.3", "B6298-01")
def test_later_samples_use_the_old_srtt_for_rttvar() -> None:
    made = estimator(400 * MS, 480 * MS)
    assert made.rttvar == (3 * 200 + 80) * MS // 4
    assert made.srtt == (7 * 400 + 480) * MS // 8
    assert made.rto == made.srtt + 4 * made.rttvar


@pytest.mark.rfc("6298", "5.5", "B6298-02")
def test_backing_off_doubles_up_to_the_bound() -> None:
    made = estimator(400 * MS)
    assert [made.backed_off(times) for times in (0, 1, 2)] == [1200 * MS, 2400 * MS, 4800 * MS]
    assert made.backed_off(50) == 120 * SECOND


@pytest.mark.rfc("7323", "appendix G", "B7323-05")
@pytest.mark.parametrize("samples", [1, 4, 100])
def test_several_samples_a_round_trip_share_the_gains_of_one(samples: int) -> None:
    made = estimator(400 * MS)
    for _ in range(samples):
        made.on_sample(480 * MS, samples)
    one = estimator(400 * MS)
    one.on_sample(480 * MS)
    assert made.srtt == pytest.approx(one.srtt, rel=0.01)
    assert made.rttvar == pytest.approx(one.rttvar, rel=0.07)


@pytest.mark.rfc("6298", "5.5", "B6298-02")
def test_the_back_off_lasts_until_a_sample() -> None:
    made = estimator(400 * MS)
    made.back_off()
    made.back_off()
    assert made.rto == 4800 * MS
    made.on_sample(400 * MS)
    assert made.rto < 1200 * MS


@given(st.lists(st.integers(0, 300 * SECOND), min_size=1))
def test_bounds_hold_whatever_is_measured(samples: list[Nanos]) -> None:
    made = estimator(*samples)
    assert 200 * MS <= made.rto <= 120 * SECOND
    assert max(min(samples), 1) <= made.srtt + 8 * len(samples)
    assert made.srtt <= max(*samples, 1)
    assert made.min_rtt == max(min(samples), 1)
    assert made.latest == max(samples[-1], 1)
