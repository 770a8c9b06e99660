"""Two paths add up, and the loss of one is bridged: a cell each of two benchmarks.

`benchmarks/aggregation.py` and `benchmarks/handover.py` measure; the bounds here are generous.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from aggregation import goodput
from emulated import Hosts, run, shape
from handover import WIFI, Setup, cut, measure

from plait.host.settings import Settings

pytestmark = pytest.mark.privileged

TRIES = 3
"""A machine busy elsewhere delays packets and timers: ask again."""

SECONDS = 1.5
PATH = shape(10, 10)
TOGETHER = 0.8
"""Of the sum of both paths."""

BRIDGED = 0.6
"""Seconds; a tenth of that is usual."""

PLAIN = Hosts(connects="stack", listens="kernel", mptcp=False)


def best(measured: Callable[[], float], enough: Callable[[float], bool]) -> float:
    """Return the first figure that is good enough, or the last."""
    for _ in range(TRIES - 1):
        figure = measured()
        if enough(figure):
            return figure
    return measured()


def moved(paths: int, *, mptcp: bool, up: bool) -> float:
    """Return Mbit/s over so many paths."""
    settings = Settings(checksum=False, mptcp=mptcp)
    hosts = Hosts(connects="stack", listens="kernel", settings=settings, mptcp=mptcp)
    return run(hosts, [PATH] * paths, partial(goodput, SECONDS, up))


@pytest.mark.parametrize("up", [True, False], ids=["sends", "receives"])
def test_two_paths_carry_most_of_what_each_carries_alone(up: bool) -> None:
    alone = moved(1, mptcp=False, up=up)
    share = best(lambda: moved(2, mptcp=True, up=up) / alone / 2, lambda one: one >= TOGETHER)
    assert share >= TOGETHER
    assert moved(1, mptcp=True, up=up) / alone / 2 < TOGETHER


@pytest.mark.parametrize("up", [True, False], ids=["sends", "receives"])
def test_a_stream_outlives_a_path(up: bool) -> None:
    setup = Setup(connects="stack", listens="kernel", up=up)
    if not up:  # the kernel's timers decide then: it is only to go on
        assert measure(setup, 1).gap < 3
        return
    gap = best(lambda: measure(setup, 1).gap, lambda one: one <= BRIDGED)
    assert gap <= BRIDGED


def test_over_one_path_it_waits_until_the_path_is_back() -> None:
    setup = Setup(connects="stack", listens="kernel", up=True)
    sample = run(PLAIN, [WIFI], partial(cut, setup, Random(1)))
    assert sample.gap > BRIDGED


def test_the_other_path_takes_over_at_once_if_the_address_goes_too() -> None:
    setup = Setup(connects="stack", listens="kernel", up=True, removal=True)
    gap = best(lambda: measure(setup, 2).gap, lambda one: one <= BRIDGED)
    assert gap <= BRIDGED
