"""Dropping packets on one path, to have the traffic come to another path that can be read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policies.worlds import bulk, long_queue, multipath, over_seeds, parallel, short_queue, single

from plait.sim.scenario import EventSpec, WindowSpec

WINDOWS = {"before": WindowSpec(start_s=2, stop_s=4), "after": WindowSpec(start_s=5.5, stop_s=9)}


def drawn(congestion: str) -> tuple[float, float]:
    """Return what the path that is read carries for each octet of a TCP there, before and after.

    After four seconds, one in 20 packets is lost on the other path; all of five seeds.
    """
    flows = {"victim": bulk(multipath(congestion)), "tcp": bulk(single(), path=1)}
    scenario = replace(
        parallel(
            {"attacked": long_queue(3), "read": short_queue(4, delay_ms=20)},
            flows,
            seconds=9,
            since=5.5,
        ),
        events=(EventSpec(at_s=4, link="attacked", loss=0.05, direction="forth"),),
        windows=WINDOWS,
    )
    results = over_seeds(scenario)
    ratios = []
    for name in WINDOWS:
        moved = [result["windows"][name]["flows"] for result in results]
        read = sum(flow["victim"]["subflows"]["10.0.1.1 > 10.0.0.2"] for flow in moved)
        ratios.append(read / sum(flow["tcp"]["goodput"] for flow in moved))
    return ratios[0], ratios[1]


@pytest.mark.rfc("6356", "6", "M6356-6-01")
@pytest.mark.rfc("6356", "6", "T-x-3")
def test_drops_draw_no_more_to_another_path_than_a_tcp_would_take_there() -> None:
    """That much they do draw, since traffic leaves paths that lose; uncoupled, it is there anyway.

    What must not be read has to be encrypted.
    """
    before, after = drawn("lia")
    assert 1.3 * before < after < 1.2
    assert drawn("reno")[0] > 1.3 * before
