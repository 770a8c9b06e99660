"""Which paths share a bottleneck, by delays made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.congestion.bottleneck import INTERVAL, KEPT, LEAST, Delays, concordance, shared
from plait.units import MILLISECOND


def delays(*of: Callable[[int], float], count: int = 60) -> list[Delays]:
    """Return records of round-trip times, in milliseconds by interval."""
    made = [Delays() for _ in of]
    for number in range(count + 1):
        for one, function in zip(made, of, strict=True):
            one.add(number * INTERVAL, round(function(number) * MILLISECOND))
    return made


def test_samples_are_averaged_by_interval() -> None:
    one = Delays()
    turns = [one.add(now, rtt) for now, rtt in [(0, 10), (1, 20), (INTERVAL, 7), (4 * INTERVAL, 1)]]
    assert turns == [True, False, True, True]
    assert list(one.means) == [(0, 15.0), (1, 7.0)]


def test_little_is_remembered() -> None:
    (one,) = delays(float, count=1000)
    assert len(one.means) == KEPT


QUEUES: dict[str, tuple[Callable[[int], float], Callable[[int], float], bool]] = {
    "one queue": (lambda at: 50 + 20 * sin(at), lambda at: 80 + 20 * sin(at), True),
    "one, and some noise": (
        lambda at: 50 + 20 * sin(at),
        lambda at: 50 + 20 * sin(at) + 5 * (at % 2),
        True,
    ),
    "sawteeth of two lengths": (lambda at: 50 + at % 7, lambda at: 50 + at % 11, False),
    "one full while the other is empty": (
        lambda at: 50 + 20 * sin(at),
        lambda at: 50 - 20 * sin(at),
        False,
    ),
    "the same shape but not the same queue": (
        lambda at: 50 + 2 * sin(at),
        lambda at: 50 + 40 * sin(at),
        False,
    ),
    "nothing moves": (lambda _: 50, lambda _: 60, True),
}


@pytest.mark.parametrize(("one", "other", "same"), QUEUES.values(), ids=QUEUES.keys())
def test_shared(one: Callable[[int], float], other: Callable[[int], float], same: bool) -> None:
    first, second = delays(one, other)
    assert shared(first, second) is same
    assert shared(second, first) is same


def test_nothing_is_said_before_there_is_enough() -> None:
    known = [shared(*delays(sin, sin, count=count)) for count in (LEAST - 1, LEAST)]
    assert known == [None, True]


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)), min_size=1, max_size=50))
def test_concordance_is_symmetric_and_no_more_than_one(
    pairs: Sequence[tuple[float, float]],
) -> None:
    found = concordance(list(pairs))
    assert -1 - 1e-6 <= found <= 1
    assert concordance([(y, x) for x, y in pairs]) == pytest.approx(found, abs=1e-6)
