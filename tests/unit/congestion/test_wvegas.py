"""Weighted Vegas against numbers computed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.coupling import MSS, group

from plait.congestion.base import INFINITE, AckSample
from plait.congestion.wvegas import Wvegas
from plait.units import MILLISECOND


class Round:
    """Feeds a controller whole round trips with one RTT each."""

    def __init__(self, *members: Wvegas) -> None:
        self.members = members

    def pass_(self, rtts_ms: Sequence[float], *, samples: int = 5) -> None:
        """Let every member see a round trip: its samples, and the ACK that ends it."""
        for one, rtt_ms in zip(self.members, rtts_ms, strict=True):
            rtt = round(rtt_ms * MILLISECOND)
            for _ in range(samples - 1):
                one.on_ack(AckSample(0, 0, one.cwnd, rtt, app_limited=False, rtt=rtt))
            last = AckSample(0, 0, one.cwnd, rtt, app_limited=False, rtt=rtt, new_round=True)
            one.on_ack(last)


def vegas(windows: Sequence[int], base_ms: float = 100) -> Round:
    made = group(Wvegas, [window * MSS for window in windows], [base_ms / 1000] * len(windows))
    for one in made:
        one.base_rtt = round(base_ms * MILLISECOND)
    return Round(*made)


ROUNDS = {
    "W1": ((20, 20), (110, 110), (1, 1)),
    "W2": ((40, 10), (110, 150), (1, -1)),
    "W3": ((30, 30), (101, 200), (1, -1)),
}


@pytest.mark.rfc("wvegas", "3", "WVEGAS-03")
@pytest.mark.rfc("wvegas", "3", "WVEGAS-04")
@pytest.mark.parametrize(("windows", "rtts", "steps"), ROUNDS.values(), ids=ROUNDS.keys())
def test_wvegas(windows: Sequence[int], rtts: Sequence[float], steps: Sequence[int]) -> None:
    rounds = vegas(windows)
    for one, window, rtt in zip(rounds.members, windows, rtts, strict=True):
        one.speed = window / (rtt * MILLISECOND)
        one._least_queue = round((rtt - 100) * 0.75 * MILLISECOND)  # nothing is to be drained
    rounds.pass_(rtts)
    found = [one.cwnd // MSS - window for one, window in zip(rounds.members, windows, strict=True)]
    assert found == list(steps)


@pytest.mark.rfc("wvegas", "3", "WVEGAS-01")
def test_few_samples_mean_reno_for_that_round() -> None:
    rounds = vegas((20,))
    rounds.pass_((300,), samples=2)
    assert rounds.members[0].cwnd == 21 * MSS


@pytest.mark.rfc("wvegas", "3", "WVEGAS-02")
def test_slow_start_ends_with_packets_in_the_queue() -> None:
    rounds = vegas((20,))
    (one,) = rounds.members
    one.ssthresh = INFINITE
    rounds.pass_((100,))
    assert one.ssthresh == INFINITE
    rounds.pass_((120,))
    assert one.cwnd == 20 * MSS * 100 // 120 + MSS
    assert one.ssthresh == one.cwnd - MSS


@pytest.mark.rfc("wvegas", "3", "WVEGAS-05")
def test_a_queue_twice_the_shortest_is_drained() -> None:
    rounds = vegas((20,))
    (one,) = rounds.members
    one.alpha = 10
    rounds.pass_((110,))
    rounds.pass_((119,))
    assert one.cwnd == 22 * MSS
    rounds.pass_((120,))
    assert one.cwnd == 23 * MSS * 100 // 240


@pytest.mark.rfc("wvegas", "3", "WVEGAS-06")
def test_the_floor_is_two_segments_and_idle_time_forgets_the_base() -> None:
    rounds = vegas((2,))
    (one,) = rounds.members
    one._least_queue = MILLISECOND
    rounds.pass_((900,))
    assert one.cwnd == 2 * MSS
    one.on_loss(0, 2 * MSS)
    assert one.cwnd == 2 * MSS
    one.on_idle(0)
    rounds.pass_((500,))
    assert one.base_rtt == 500 * MILLISECOND
