"""Weighted Vegas goes by delay: it uses all paths and leaves their queues short."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from policies.worlds import bulk, multipath, over_seeds, parallel

from plait.sim.scenario import Shape


def rates_and_queues(congestion: str) -> tuple[list[float], list[float]]:
    """Return the use of two links, and the packets in their queues, as means of five seeds."""
    link = Shape(rate_mbit=4, delay_ms=20, queue_ms=150, jitter_ms=1)
    flow = {"flow": bulk(multipath(congestion))}
    scenario = parallel({"one": link, "other": link}, flow, seconds=4, since=2)
    results = over_seeds(replace(scenario, series=("queue",)))
    wires = ("one/forth", "other/forth")
    steady = [result["windows"]["steady"]["links"] for result in results]
    used = [fmean(links[wire] for links in steady) for wire in wires]
    queued = [
        fmean(
            octets / 1500
            for result in results
            for time, octets in result["links"][wire]["queue"]
            if time >= 2
        )
        for wire in wires
    ]
    return used, queued


def test_wvegas_fills_both_links_and_keeps_their_queues_short() -> None:
    used, queued = rates_and_queues("wvegas")
    lia_used, lia_queued = rates_and_queues("lia")
    assert min(used) > 0.85
    assert min(lia_used) > 0.85
    assert max(queued) < min(lia_queued) / 3
