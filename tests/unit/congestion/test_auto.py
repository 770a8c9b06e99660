"""LIA among those that share a bottleneck."""

from __future__ import annotations

from math import cos, sin

import pytest
from support.coupling import MSS, group

from plait.congestion.auto import Auto
from plait.congestion.base import AckSample
from plait.congestion.bottleneck import INTERVAL, LEAST
from plait.congestion.lia import Lia
from plait.units import MILLISECOND


def watch(members: list[Auto], *, alike: bool, intervals: int = 40) -> None:
    """Let two subflows see their round-trip times for some intervals."""
    for number in range(intervals):
        for one, wave in zip(members, (sin, sin if alike else cos), strict=True):
            rtt = round((60 + 20 * wave(number)) * MILLISECOND)
            now = number * INTERVAL
            one.on_ack(AckSample(now, 0, one.cwnd, one.srtt, app_limited=False, rtt=rtt))


@pytest.mark.parametrize(
    ("alike", "intervals", "coupled"), [(True, 40, True), (False, 40, False), (False, LEAST, True)]
)
def test_who_shares_nothing_is_alone(alike: bool, intervals: int, coupled: bool) -> None:
    """What is not known to be apart is coupled."""
    windows, rtts = (20 * MSS, 20 * MSS), (0.1, 0.1)
    members = group(Auto, windows, rtts)
    watch(members, alike=alike, intervals=intervals)
    peers = group(Lia, windows if coupled else windows[:1], rtts if coupled else rtts[:1])
    expected = peers[0].growth(MSS)
    assert [one.growth(MSS) for one in members] == pytest.approx([expected] * 2)


def test_slow_start_tells_nothing() -> None:
    members = group(Auto, (20 * MSS, 20 * MSS), (0.1, 0.1))
    for one in members:
        one.ssthresh = 40 * MSS
    watch(members, alike=False)
    assert [len(one.delays.means) for one in members] == [0, 0]
    assert [one.apart for one in members] == [[], []]


def test_who_left_is_forgotten() -> None:
    members = group(Auto, (20 * MSS, 20 * MSS), (0.1, 0.1))
    watch(members, alike=True)
    members[1].leave()
    assert members[0].members() == [members[0]]
