"""Bugs of the stack that the rig found, each as the smallest world in which it showed."""

from __future__ import annotations

from typing import Any, Final

import pytest

from plait.sim.scenario import EventSpec
from plait.sim.torture.case import Case, Fault, PartyPlan, PathPlan, TalkPlan
from plait.sim.torture.rig import run_case
from plait.units import MILLISECOND


def path(rate_mbit: float, delay_ms: float, queue_ms: float) -> PathPlan:
    return PathPlan(rate_mbit=rate_mbit, delay_ms=delay_ms, queue_ms=queue_ms)


def setting(host: str, **values: Any) -> Fault:
    return Fault(kind="settings", host=host, values=values)


def shape(number: int, direction: str, **values: Any) -> Fault:
    return Fault(kind="shape", path=number, direction=direction, values=values)


def box(number: int, name: str, **values: Any) -> Fault:
    return Fault(kind="box", path=number, name=name, values=values)


WINDOW_OF_A_RETRANSMISSION: Final = Case(
    seed=55,
    paths=(path(18.7, 6, 33), path(44.5, 2, 301)),
    talks=(
        TalkPlan(
            start=865_716_232,
            initiator=PartyPlan(octets=3796, write=100, pause=5 * MILLISECOND),
            listener=PartyPlan(octets=290_532),
        ),
        TalkPlan(
            start=484_812_056,
            initiator=PartyPlan(
                octets=39_420,
                write=1400,
                pause=50 * MILLISECOND,
                read=5000,
                read_pause=10 * MILLISECOND,
            ),
            listener=PartyPlan(octets=52_655),
        ),
    ),
    faults=(setting("b", mptcp=False), setting("b", receive_buffer=700)),
)
"""A retransmission acknowledged more and closed the window by it; its window was not taken, for its
SEG.SEQ was old, and 20 octets left beyond the right edge (RFC 9293, 3.10.7.4)."""

INFINITE_MAPPING_TOO_LONG: Final = Case(
    seed=84,
    version=6,
    paths=(path(42.0, 53, 101), path(3.3, 29, 318)),
    addresses=2,
    talks=(
        TalkPlan(
            start=686_004_453,
            initiator=PartyPlan(octets=228_846, pause=5 * MILLISECOND),
            listener=PartyPlan(octets=294_513),
        ),
    ),
    faults=(box(0, "strip-data", direction="outbound"),),
)
"""After fall-back segments were as long as without options, but those with the infinite mapping
still had it: 1520 octets on a link of 1500, for ever (RFC 8684, 3.7)."""

DATA_FIN_INTO_SILENCE: Final = Case(
    seed=990,
    paths=(path(11.4, 8, 305),),
    talks=(
        TalkPlan(
            start=858_936_625,
            initiator=PartyPlan(octets=0),
            listener=PartyPlan(octets=0, read=500, read_pause=100 * MILLISECOND, close_late=True),
        ),
    ),
    faults=(box(0, "overwrite-options", filler="eol", direction="both"),),
)
"""The listener had fallen back; the initiator, with nothing to send but a DATA_FIN that no segment
could carry, got no answer that would have told it, and never closed (RFC 8684, 3.7)."""


CHALLENGE_BEFORE_A_JOIN: Final = Case(
    seed=32_486,
    paths=(path(10.6, 25, 36), path(40.3, 55, 31)),
    talks=(
        TalkPlan(
            start=874_698_216,
            initiator=PartyPlan(
                octets=37,
                write=100,
                pause=50 * MILLISECOND,
                read=500,
                read_pause=100 * MILLISECOND,
                close_late=True,
            ),
            listener=PartyPlan(octets=69_380, write=1400),
        ),
    ),
    faults=(
        setting("b", receive_buffer=65_535),
        Fault(
            kind="event",
            path=1,
            events=(
                EventSpec(at_s=0.99, host="a", address="10.0.2.1", present=False),
                EventSpec(at_s=2.06, host="a", address="10.0.2.1", present=True),
            ),
            fatal=True,
        ),
    ),
)
"""A challenge ACK on a subflow that was still opening told a window made for a SYN, rounded down:
the right edge went back by 256 octets (RFC 8684, 3.3.4)."""

DATA_BEFORE_THE_KEY: Final = Case(
    seed=41_470,
    paths=(path(1.3, 53, 346), path(2.6, 17, 123)),
    talks=(
        TalkPlan(
            start=377_254_866,
            initiator=PartyPlan(octets=222_976, close_late=True),
            listener=PartyPlan(octets=14_838, write=100),
        ),
        TalkPlan(
            start=57_979_363,
            initiator=PartyPlan(octets=1, close_late=True),
            listener=PartyPlan(octets=0),
        ),
        TalkPlan(
            start=707_510_159,
            initiator=PartyPlan(octets=58_909, pause=5 * MILLISECOND, close_late=True),
            listener=PartyPlan(octets=19_411),
        ),
    ),
    faults=(
        setting("", checksum=False),
        setting("b", receive_buffer=2000),
        shape(0, "back", jitter_ms=1),
        shape(0, "forth", loss_numbers=(9, 16, 19, 20, 21, 23)),
        shape(1, "forth", jitter_ms=10),
        Fault(
            kind="event",
            events=(
                EventSpec(at_s=0.22, link="p0", up=False),
                EventSpec(at_s=0.99, link="p0", up=True),
            ),
        ),
    ),
)
"""A listener without the initiator's key sent a challenge ACK with a Data ACK made of no IDSN: it
seemed to go back when the key came (RFC 8684, 3.1)."""

HOLE_THAT_A_BOX_ACKNOWLEDGED: Final = Case(
    seed=863_103,
    paths=(path(3.0, 64, 320), path(33.8, 1, 302)),
    talks=(
        TalkPlan(
            start=119_116_544,
            initiator=PartyPlan(octets=51_812, write=100),
            listener=PartyPlan(octets=95_792, write=100, close_late=True),
        ),
    ),
    faults=(
        setting("b", timestamps=False),
        setting("b", max_mss=1),
        shape(1, "both", loss_burst=(0.005, 0.3, 0.5, 0.0)),
        box(0, "coalescer", limit=300, direction="both"),
        box(1, "fin-injector", after_octets=16602),
        setting("a", pacing=True),
    ),
)
"""A FIN that a box made up ended both directions of a subflow out of step; what it held was sent
again elsewhere once, where a coalescer lost the mapping, and never more (RFC 8684, 3.3.6)."""

DATA_FIN_ON_A_PATH_THAT_IS_DOWN: Final = Case(
    seed=969_372,
    version=6,
    paths=(path(2.0, 3, 60), path(23.6, 15, 303)),
    talks=(
        TalkPlan(
            start=748_723_487,
            initiator=PartyPlan(
                octets=663, pause=50 * MILLISECOND, read=500, read_pause=100 * MILLISECOND
            ),
            listener=PartyPlan(octets=2985, write=100, pause=50 * MILLISECOND),
        ),
        TalkPlan(
            start=553_549_492,
            initiator=PartyPlan(octets=30_327),
            listener=PartyPlan(octets=0, write=1400, pause=50 * MILLISECOND),
        ),
    ),
    faults=(
        shape(1, "back", loss_numbers=(1, 4, 13, 29, 34)),
        Fault(
            kind="event",
            events=(
                EventSpec(at_s=0.58, link="p0", up=False),
                EventSpec(at_s=6.99, link="p0", up=True),
            ),
        ),
    ),
)
"""A listener that had heard no DSS yet took the silence of a path that was down for one without
options, fell back and gave the join up that the initiator relied on (RFC 8684, 3.7)."""

CASES: Final = {
    "window of a retransmission": pytest.param(
        WINDOW_OF_A_RETRANSMISSION, marks=pytest.mark.rfc("9293", "3.10.7.4")
    ),
    "infinite mapping too long": pytest.param(
        INFINITE_MAPPING_TOO_LONG, marks=pytest.mark.rfc("8684", "3.7", "M8684-3.7-06")
    ),
    "challenge before a join": pytest.param(
        CHALLENGE_BEFORE_A_JOIN, marks=pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-02")
    ),
    "DATA_FIN into silence": pytest.param(
        DATA_FIN_INTO_SILENCE, marks=pytest.mark.rfc("8684", "3.7", "M8684-3.7-01")
    ),
    "DATA_FIN on a path that is down": pytest.param(
        DATA_FIN_ON_A_PATH_THAT_IS_DOWN, marks=pytest.mark.rfc("8684", "3.7", "M8684-3.7-01")
    ),
    "hole that a box acknowledged": pytest.param(
        HOLE_THAT_A_BOX_ACKNOWLEDGED, marks=pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-04")
    ),
    "data before the key": pytest.param(DATA_BEFORE_THE_KEY, marks=pytest.mark.rfc("8684", "3.1")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_fixed(case: Case) -> None:
    verdict = run_case(case)
    assert (verdict.invariant, verdict.text) == ("", "")
