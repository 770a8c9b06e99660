"""Challenge ACKs are rationed per connection, and unpredictably (RFC 5961, 7)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.script import PLAIN, Script

from plait.tcp.challenge import Challenges
from plait.units import SECOND
from plait.wire.segment import ACK, RST, SYN

GAP = SECOND // 2


def answered(challenges: Challenges, step: int, until: int) -> list[int]:
    """Return when a steady stream of triggers was answered."""
    return [now for now in range(0, until, step) if challenges.take(now)]


@pytest.mark.rfc("5961", "7", "B5961-03")
@given(st.integers(0, (1 << 32) - 1))
def test_gaps_lie_between_the_least_and_half_as_much_again(seed: int) -> None:
    step = GAP // 50
    times = answered(Challenges(GAP, seed), step, 40 * GAP)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert times[0] == 0
    assert all(GAP <= gap <= GAP + GAP // 2 + step for gap in gaps)


def test_gaps_differ_within_a_connection_and_between_connections() -> None:
    runs = [answered(Challenges(GAP, seed), 1_000_000, 60 * GAP) for seed in range(1, 6)]
    assert len({tuple(times) for times in runs}) == len(runs)
    gaps = {later - sooner for sooner, later in pairwise(runs[0])}
    assert len(gaps) > len(runs[0]) // 2


@pytest.mark.rfc("5961", "7", "B5961-03")
def test_one_connection_cannot_empty_the_ration_of_another() -> None:
    script = Script(PLAIN)
    script.host.listen(0, 80)
    flows = [script.flow(local_port=port) for port in (1000, 1001)]
    for flow in flows:
        flow.send(SYN)
        flow.send(ACK)
    assert sum(len(flows[0].send(RST, seq=9)) for _ in range(200)) == 1
    assert len(flows[1].send(RST, seq=9)) == 1
