"""What RFC 6356 promises: no worse than TCP on the best path, no more than TCP anywhere, balance.

Every figure is of all five seeds together, and is told beside what uncoupled subflows do in the
same world.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import fmean

import pytest
from policies.worlds import (
    bulk,
    long_queue,
    multipath,
    over_seeds,
    parallel,
    short_queue,
    single,
    total,
)

from plait.sim.scenario import Shape, WindowSpec

# ---- goal 1: at least as much as TCP gets on the best path


@cache
def beside_a_bad_path(congestion: str) -> float:
    """Return Mbit/s with a good path and a bad one, of TCP on the good one if it is alone."""
    paths = {
        "good": Shape(rate_mbit=4, delay_ms=20, queue_ms=50, jitter_ms=1),
        "bad": Shape(rate_mbit=0.5, delay_ms=60, queue_ms=200, loss=0.02),
    }
    settings = single() if congestion == "alone" else multipath(congestion)
    scenario = parallel(paths, {"flow": bulk(settings)}, seconds=6, since=2)
    return total(over_seeds(scenario), "flow")


@pytest.mark.rfc("6356", "1", "M6356-1-01")
def test_a_bad_second_path_does_no_harm() -> None:
    alone = beside_a_bad_path("alone")
    assert alone > 0.9 * 4
    for congestion in ("lia", "olia", "balia"):
        assert beside_a_bad_path(congestion) >= 0.95 * alone


# ---- goal 2: no more than TCP where it meets TCP


def share(congestion: str, subflows: int, seconds: float) -> float:
    """Return what a connection moves for each octet that TCP moves beside it on one link."""
    settings = multipath(
        congestion, path_manager=f"ndiffports:subflows={subflows}", max_half_open_joins=8
    )
    flows = {"several": bulk(settings), "one": bulk(single())}
    results = over_seeds(parallel({"wire": short_queue(6)}, flows, seconds=seconds, since=3))
    if subflows > 1:
        lives = [result["windows"]["steady"]["flows"]["several"]["subflows"] for result in results]
        assert all(min(rates.values()) > 0 for rates in lives)
        assert {len(rates) for rates in lives} == {subflows}
    return total(results, "several") / total(results, "one")


@pytest.mark.rfc("6356", "1", "M6356-1-01")
@pytest.mark.rfc("6182", "2.2", "M6182-2.2-03")
def test_any_number_of_subflows_take_what_one_tcp_takes() -> None:
    """Five runs leave an uncertainty of about 0.1 for each number of subflows."""
    shares = [share("lia", subflows, 11) for subflows in (1, 2, 4, 8)]
    assert 0.7 <= min(shares) <= max(shares) <= 1.3
    assert 0.85 <= fmean(shares) <= 1.15


@pytest.mark.rfc("6356", "1", "M6356-1-01")
@pytest.mark.parametrize("congestion", ["olia", "balia"])
def test_the_others_take_no_more_and_not_much_less(congestion: str) -> None:
    """They may have windows of one segment, whose losses only a time-out finds."""
    assert 0.5 <= share(congestion, 4, 10) <= 1.2


def test_uncoupled_subflows_take_as_much_each() -> None:
    assert 3 <= share("reno", 4, 7) <= 5


# ---- goal 3: traffic moves away from congestion


def shares_of_a_crowded_path(congestion: str) -> tuple[float, float]:
    """Return the share of the first of two equal paths before and after three others came there."""
    flows = {"flow": bulk(multipath(congestion))}
    flows |= {f"other{at}": bulk(single(), start_s=4) for at in range(3)}
    paths = {"crowded": long_queue(4), "free": long_queue(4)}
    windows = {
        "before": WindowSpec(start_s=1.5, stop_s=4),
        "after": WindowSpec(start_s=5.5, stop_s=9),
    }
    results = over_seeds(replace(parallel(paths, flows, seconds=9, since=5), windows=windows))
    before, after = (
        fmean(moved["10.0.0.1 > 10.0.0.2"] / sum(moved.values()) for moved in of_window)
        for of_window in (
            [result["windows"][name]["flows"]["flow"]["subflows"] for result in results]
            for name in windows
        )
    )
    return before, after


@pytest.mark.rfc("6356", "1", "M6356-1-01")
def test_traffic_moves_off_the_congested_path() -> None:
    before, after = shares_of_a_crowded_path("lia")
    assert 0.4 <= before <= 0.6
    assert after < before / 2
    assert after < 0.85 * shares_of_a_crowded_path("reno")[1]


# ---- the equilibrium


def windows_by_loss(congestion: str) -> list[list[float]]:
    """Return for each seed the mean windows in segments of two paths that lose 1 % and 2 %."""
    paths = {
        name: Shape(rate_mbit=20, delay_ms=20, loss=loss)
        for name, loss in {"one": 0.01, "two": 0.02}.items()
    }
    flow = bulk(multipath(congestion))
    scenario = parallel(paths, {"flow": flow}, seconds=11, since=3)
    results = over_seeds(replace(scenario, series=("cwnd",)))
    return [
        [
            fmean(cwnd for time, cwnd in subflow["series"]["cwnd"] if time >= 3) / 1420
            for subflow in result["flows"]["flow"]["subflows"].values()
        ]
        for result in results
    ]


@pytest.mark.rfc("6356", "5", "M6356-5-01")
@pytest.mark.parametrize(("congestion", "least", "most"), [("lia", 1.6, 2.4), ("reno", 1.1, 1.55)])
def test_windows_are_as_the_inverse_of_loss(congestion: str, least: float, most: float) -> None:
    """With twice the loss half of it by LIA, which leaves no path whole; by a root of 2 alone."""
    windows = windows_by_loss(congestion)
    assert least <= fmean(one[0] for one in windows) / fmean(one[1] for one in windows) <= most
