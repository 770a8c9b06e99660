"""The delivery rate estimator against the arithmetic of draft-ietf-ccwg-bbr-06, 4.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.congestion.base import RateSample
from plait.tcp.delivery import DeliveryRate
from plait.units import MILLISECOND, SECOND, Nanos, Octets

MS = MILLISECOND
MSS = 1000


def acknowledge(
    rate: DeliveryRate, now: Nanos, start: Octets, stop: Octets, min_rtt: Nanos = 0
) -> RateSample:
    rate.on_delivered(start, stop)
    return rate.take_sample(now, stop, min_rtt)


def send(rate: DeliveryRate, times: list[Nanos], una: int = 0) -> None:
    """Send one segment at each time, numbered from 0."""
    for at, now in enumerate(times):
        rate.on_sent(now, at * MSS, (at + 1) * MSS, (at + 1 - una) * MSS, again=False)


@pytest.mark.parametrize(
    ("arrivals", "span"),
    [
        pytest.param([200 + 10 * number for number in range(10)], 190 * MS, id="even"),
        pytest.param([200 + 20 * number for number in range(10)], 280 * MS, id="slower path"),
        pytest.param([200] * 10, 190 * MS, id="compressed ACKs"),
    ],
)
def test_a_rate_counts_by_departures_or_arrivals_whichever_took_longer(
    arrivals: list[int], span: Nanos
) -> None:
    rate = DeliveryRate()
    send(rate, [0])
    acknowledge(rate, 100 * MS, 0, MSS)
    for number in range(1, 11):
        now = (90 + 10 * number) * MS
        rate.on_sent(now, number * MSS, (number + 1) * MSS, (number + 1) * MSS, again=False)
    samples = [
        acknowledge(rate, at * MS, number * MSS, (number + 1) * MSS)
        for number, at in enumerate(arrivals, 1)
    ]
    assert samples[-1].delivered == 10 * MSS
    assert samples[-1].interval == span
    assert samples[-1].delivery_rate == 10 * MSS * SECOND // span


def test_the_state_at_departure_comes_back_with_the_ack() -> None:
    rate = DeliveryRate()
    send(rate, [0, MS])
    first = acknowledge(rate, 50 * MS, 0, MSS)
    assert (first.prior_delivered, first.total_delivered, first.newly_acked) == (0, MSS, MSS)
    assert (first.tx_in_flight, first.rtt) == (MSS, 50 * MS)
    rate.on_sent(51 * MS, 2 * MSS, 3 * MSS, 2 * MSS, again=False)
    second = acknowledge(rate, 100 * MS, MSS, 3 * MSS)
    assert (second.prior_delivered, second.tx_in_flight) == (MSS, 2 * MSS)
    assert second.rtt == 49 * MS


def test_an_interval_below_the_least_round_trip_tells_nothing() -> None:
    rate = DeliveryRate()
    send(rate, [0])
    sample = acknowledge(rate, 9 * MS, 0, MSS, min_rtt=10 * MS)
    assert (sample.delivery_rate, sample.delivered) == (0, MSS)


def test_what_left_again_gives_no_round_trip_time() -> None:
    rate = DeliveryRate()
    send(rate, [0, 0])
    rate.on_lost(20 * MS, [(0, MSS)], sack=True)
    rate.on_sent(20 * MS, 0, MSS, 2 * MSS, again=True)
    sample = acknowledge(rate, 30 * MS, 0, MSS)
    assert sample.rtt == 0
    assert sample.newly_lost == MSS


def test_a_bubble_passes_with_what_was_in_flight() -> None:
    rate = DeliveryRate()
    send(rate, [0, 0])
    rate.mark_app_limited(2 * MSS)
    for number in (2, 3):
        rate.on_sent(MS, number * MSS, (number + 1) * MSS, (number + 1) * MSS, again=False)
    limits = [
        acknowledge(rate, (50 + number) * MS, number * MSS, (number + 1) * MSS).is_app_limited
        for number in range(4)
    ]
    assert limits == [False, False, True, True]
    assert rate.app_limited == 0


def test_a_loss_inside_a_burst_was_in_flight_with_what_left_before_it() -> None:
    rate = DeliveryRate()
    rate.on_sent(0, 0, 10 * MSS, 10 * MSS, again=False)
    rate.on_sent(MS, 10 * MSS, 20 * MSS, 20 * MSS, again=False)
    told = rate.on_lost(90 * MS, [(4 * MSS, 6 * MSS), (9 * MSS, 11 * MSS)], sack=True)
    assert [(loss.length, loss.tx_in_flight, loss.lost) for loss in told] == [
        (2 * MSS, 6 * MSS, 2 * MSS),
        (MSS, 10 * MSS, 3 * MSS),
        (MSS, 11 * MSS, 4 * MSS),
    ]


def test_what_the_scoreboard_forgets_is_not_delivered_twice() -> None:
    rate = DeliveryRate()
    send(rate, [0, 0, 0])
    rate.on_delivered(MSS, 2 * MSS)
    rate.take_sample(50 * MS, 0, 0)
    rate.on_timeout([(MSS, 2 * MSS)])
    acknowledge(rate, 500 * MS, 0, 3 * MSS)
    assert rate.delivered == 3 * MSS


@given(
    gaps=st.lists(st.integers(0, 5 * MS), min_size=5, max_size=60),
    service=st.integers(100_000, 10_000_000),
)
def test_no_sample_exceeds_the_rate_of_the_path(gaps: list[Nanos], service: int) -> None:
    rate = DeliveryRate()
    delay = 20 * MS
    events: list[tuple[Nanos, int, int]] = []
    now = free_at = 0
    for number, gap in enumerate(gaps):
        now += gap
        free_at = max(free_at, now) + MSS * SECOND // service
        events += [(now, 1, number), (free_at + delay, 0, number)]
    sent = done = 0
    for at, kind, number in sorted(events):
        if kind:
            sent += 1
            start = number * MSS
            rate.on_sent(at, start, start + MSS, (sent - done) * MSS, again=False)
        else:
            done += 1
            sample = acknowledge(rate, at, number * MSS, (number + 1) * MSS)
            assert sample.delivery_rate <= service + MSS * SECOND // sample.interval
