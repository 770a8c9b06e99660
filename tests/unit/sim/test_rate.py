from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import UsageError
from plait.sim.rate import Constant, Opportunities, Rate, Steps, parse_mahimahi, parse_rates
from plait.units import MILLISECOND, SECOND

MBIT = 1_000_000


def test_without_limit_all_is_out_at_once() -> None:
    assert Rate().finish(5, 10**9) == 5
    assert Rate().bits(0, SECOND) is None


def test_a_constant_rate() -> None:
    rate = Constant(8 * MBIT)
    assert rate.finish(SECOND, 1000) == SECOND + MILLISECOND
    assert rate.bits(0, SECOND // 2) == 4 * MBIT


def test_a_transmission_goes_on_over_steps_and_waits_where_there_is_no_rate() -> None:
    rate = Steps([(0, 8 * MBIT), (MILLISECOND, 0), (3 * MILLISECOND, 16 * MBIT)])
    assert rate.finish(0, 500) == MILLISECOND // 2
    assert rate.finish(0, 1000) == MILLISECOND
    assert rate.finish(0, 2000) == 3 * MILLISECOND + MILLISECOND // 2
    assert rate.finish(2 * MILLISECOND, 2000) == 4 * MILLISECOND
    assert rate.finish(10 * MILLISECOND, 2000) == 11 * MILLISECOND
    assert rate.bits(0, 4 * MILLISECOND) == 8000 + 16_000


@given(
    steps=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**9)), max_size=5),
    last=st.integers(1, 10**9),
    start=st.integers(0, 10**7),
    octets=st.integers(1, 10**5),
)
def test_what_a_transmission_takes_is_what_the_rate_gives(
    steps: list[tuple[int, int]], last: int, start: int, octets: int
) -> None:
    time = 0
    table = []
    for span, bits in steps:
        table.append((time, bits))
        time += span
    rate = Steps([*table, (time, last)])
    finish = rate.finish(start, octets)
    assert rate.bits(start, finish) <= octets * 8
    assert rate.bits(start, finish + 1) >= octets * 8 - 1


def test_opportunities_are_used_and_lost() -> None:
    rate = Opportunities([1, 1, 4, 10])
    ms = MILLISECOND
    assert rate.finish(0, 1500) == 1 * ms
    assert rate.finish(1 * ms, 1500) == 1 * ms
    assert rate.finish(1 * ms, 1000) == 4 * ms
    assert rate.finish(4 * ms, 500) == 4 * ms  # what the one before left
    assert rate.finish(4 * ms, 1) == 10 * ms
    assert rate.finish(12 * ms, 3000) == 20 * ms  # 11 and 11 are lost
    assert rate.finish(20 * ms, 1500) == 21 * ms
    assert rate.bits(0, 10 * ms) == 3 * 12_000
    assert rate.bits(0, 40 * ms) == 15 * 12_000


@given(st.lists(st.integers(1, 30), min_size=1, max_size=10), st.integers(1, 10**9))
def test_a_trace_repeats_after_its_last_line(times: list[int], start: int) -> None:
    trace = sorted(times)
    period = trace[-1] * MILLISECOND
    first = Opportunities(trace).finish(start, 1500)
    assert first >= start
    assert Opportunities(trace).finish(start + period, 1500) == first + period


WRONG = {
    "rate 0": lambda: Constant(0),
    "a step before the first": lambda: Steps([(5, 1)]),
    "steps that go back": lambda: Steps([(0, 1), (5, 1), (5, 2)]),
    "a rate below 0": lambda: Steps([(0, -1), (1, 1)]),
    "no rate in the end": lambda: Steps([(0, 1), (1, 0)]),
    "no opportunity": lambda: Opportunities([]),
    "opportunities that go back": lambda: Opportunities([2, 1]),
    "a period of 0": lambda: Opportunities([0, 0]),
    "no numbers": lambda: parse_mahimahi("1\nx"),
    "no pairs": lambda: parse_rates("0,1\n5"),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_rate_is_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]  # a table of functions


def test_files() -> None:
    assert parse_mahimahi("1\n\n3\n").finish(2 * MILLISECOND, 1) == 3 * MILLISECOND
    steps = parse_rates("# s, Mbit/s\n0,8\n0.5, 16\n")
    assert steps.bits(0, SECOND) == 12 * MBIT
