"""OLIA against numbers computed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.coupling import MSS, ack, group

from plait.congestion.olia import Olia

INCREASES = {
    "OL1": ((10, 10), (0.1, 0.1), (1e5, 1e5), (0.025, 0.025)),
    "OL2": ((20, 5), (0.1, 0.1), (1e5, 4e5), (0.007, 0.108)),
    "OL3": ((20, 5, 5), (0.1,) * 3, (1e5, 4e5, 4e5), (0.005555556, 0.038888889, 0.038888889)),
    "OL4": ((10, 30), (0.05, 0.1), (2e5, 2e5), (0.066, -0.004666667)),
}


@pytest.mark.rfc("olia", "3", "OLIA-01")
@pytest.mark.rfc("olia", "3", "OLIA-02")
@pytest.mark.parametrize(
    ("windows", "rtts", "between", "steps"), INCREASES.values(), ids=INCREASES.keys()
)
def test_olia(
    windows: Sequence[int], rtts: Sequence[float], between: Sequence[float], steps: Sequence[float]
) -> None:
    members = group(Olia, [window * MSS for window in windows], rtts)
    for one, octets in zip(members, between, strict=True):
        one.between = round(octets)
    assert [one.growth(MSS) / MSS for one in members] == pytest.approx(steps, abs=5e-9)


@pytest.mark.rfc("olia", "3", "OLIA-04")
def test_olia_counts_between_losses_and_a_repeated_timeout_is_no_further_loss() -> None:
    one, _ = group(Olia, (20 * MSS, 20 * MSS), (0.1, 0.1))
    ack(one, 7 * MSS)
    one.on_loss(0, 20 * MSS)
    ack(one, 5 * MSS)
    one.on_loss(0, 10 * MSS)
    assert (one.between, one.since) == (5 * MSS, 0)
    one.on_timeout(0, 10 * MSS)
    assert (one.between, one.since) == (5 * MSS, 0)


@pytest.mark.rfc("olia", "3", "OLIA-05")
def test_olia_shrinks_the_largest_window_of_a_path_that_is_not_the_best() -> None:
    small, large = group(Olia, (10 * MSS, 30 * MSS), (0.05, 0.1))
    small.between = 1 << 40
    for _ in range(4000):
        ack(large)
    assert MSS <= large.cwnd < 30 * MSS


@pytest.mark.rfc("olia", "3", "OLIA-01")
def test_olia_counts_what_slow_start_and_unused_windows_moved() -> None:
    one, _ = group(Olia, (20 * MSS, 20 * MSS), (0.1, 0.1))
    ack(one, 3 * MSS, app_limited=True)
    one.ssthresh = 40 * MSS
    ack(one, 5 * MSS)
    assert one.since == 8 * MSS


@pytest.mark.rfc("olia", "3", "OLIA-02")
def test_olia_takes_the_largest_windows_to_be_those_after_recovery() -> None:
    best, large = group(Olia, (18 * MSS, 20 * MSS), (0.1, 0.1))
    best.between = 1 << 40
    before = best.growth(MSS)
    large.on_loss(0, 20 * MSS)
    large.cwnd = 30 * MSS  # what recovery lets go at the moment
    assert best.growth(MSS) < before  # it is the largest by now
