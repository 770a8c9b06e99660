"""Attackers on the path who take Multipath TCP away: that cannot be stopped, but it shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.boxes import Outcome, stream, through

from plait.host.settings import Settings
from plait.sim.middlebox import (
    Crossing,
    Middlebox,
    StripData,
    StripSyn,
    StripSynAck,
    Transparent,
)
from plait.sim.packet import copy_segment
from plait.units import Nanos
from plait.wire.mptcp.mp_capable import HMAC_SHA256, MpCapableSyn, MpCapableSynAck
from plait.wire.segment import Segment

DATA = stream(100_000)
BACK = stream(50_000, 2)
V1 = Settings()
BOTH = Settings(mptcp_versions="both")


class Rewriter(Middlebox):
    """Changes the MP_CAPABLE of SYNs that leave."""

    def __init__(self, **changes: int) -> None:
        self._changes = changes

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        options = [
            replace(one, **self._changes) if isinstance(one, MpCapableSyn) and outbound else one
            for one in segment.options
        ]
        if tuple(options) != tuple(segment.options):
            segment = copy_segment(segment)
            segment.options = tuple(options)
        return [Crossing(segment, outbound)]


class Aged(Middlebox):
    """Turns the offer of version 1 on SYNs into one of version 0, with a key of its own."""

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        if outbound and any(isinstance(one, MpCapableSyn) for one in segment.options):
            segment = copy_segment(segment)
            old = MpCapableSynAck(version=0, flags=HMAC_SHA256, sender_key=b"attacker")
            segment.options = tuple(
                old if isinstance(one, MpCapableSyn) else one for one in segment.options
            )
        return [Crossing(segment, outbound)]


BOXES: dict[str, tuple[Middlebox, bool, str]] = {
    "nobody": (Transparent(), True, ""),
    "off the SYN": (StripSyn(), False, "mp_capable_fallback_syn_ack"),
    "off the SYN/ACK": (StripSynAck(), False, "mp_capable_fallback_syn_ack"),
    "off all else": (StripData(), False, ""),
    "no algorithm": (Rewriter(flags=0), False, "mp_capable_fallback_syn_ack"),
    "version 0": (Aged(), False, "mp_capable_fallback_syn_ack"),
}


def attacked(box: Middlebox, settings: Settings = V1) -> Outcome:
    """Return what became of a connection through a box; both streams arrived."""
    outcome = through(box, DATA, BACK, settings=settings)
    assert outcome.received == DATA
    assert outcome.answered == BACK
    return outcome


@pytest.mark.rfc("8684", "5", "T-x-1")
@pytest.mark.rfc("6181", "5", "T-6181-7")
@pytest.mark.parametrize(("box", "multipath", "counter"), BOXES.values(), ids=BOXES.keys())
def test_stripping_options_leaves_tcp_and_both_hosts_know(
    box: Middlebox, multipath: bool, counter: str
) -> None:
    outcome = attacked(box)
    assert outcome.mptcp == multipath
    assert outcome.plain == (not multipath)
    reasons = [outcome.initiator.fallback_reason, outcome.listener.fallback_reason]
    assert all(reasons) == (not multipath)
    if counter:
        assert getattr(outcome.world.initiator.host.counters, counter) == 1


@pytest.mark.rfc("8684", "5", "T-x-1")
@pytest.mark.parametrize("settings", [V1, BOTH], ids=["v1", "both"])
def test_no_attacker_brings_about_version_0_where_the_hosts_offered_version_1(
    settings: Settings,
) -> None:
    """The answer to an offer of version 0 fits none of version 1: what is left is TCP."""
    outcome = attacked(Aged(), settings)
    assert outcome.initiator.version is None
    assert outcome.plain
    assert attacked(Transparent(), settings).initiator.version == 1
