"""Timestamps: PAWS, TS.Recent and what an echo tells (RFC 7323)."""

from __future__ import annotations

import pytest

from plait.tcp.timestamps import IDLE_LIMIT, Timestamps
from plait.units import MILLISECOND
from plait.wire.segment import ABSENT, ACK, RST, SYN, Segment

MS = MILLISECOND
RECENT = 0xFFFF_FFF0


def segment(ts_val: int, ts_ecr: int = 0, flags: int = ACK) -> Segment:
    made = Segment(bytes(12), 0, 0, flags, 0)
    made.ts_val = ts_val
    made.ts_ecr = ts_ecr
    return made


def agreed(offset: int = 0) -> Timestamps:
    stamps = Timestamps(wanted=True, offset=offset)
    stamps.start(0, segment(RECENT, flags=SYN))
    return stamps


PAWS = {
    "equal": (RECENT, ACK, True),
    "newer": (RECENT + 1, ACK, True),
    "newer, wrapped": (5, ACK, True),
    "older": (RECENT - 1, ACK, False),
    "older, but RST": (RECENT - 1, RST, True),
    "none": (ABSENT, ACK, True),
}


@pytest.mark.rfc("7323", "5.3", "B7323-04")
@pytest.mark.parametrize(("ts_val", "flags", "passes"), PAWS.values(), ids=PAWS.keys())
def test_paws(ts_val: int, flags: int, passes: bool) -> None:
    assert agreed().check(1000, segment(ts_val, flags=flags)) is passes


@pytest.mark.rfc("7323", "5.5", "B7323-04")
def test_ts_recent_outlives_its_meaning_after_24_days() -> None:
    stamps = agreed()
    old = segment(RECENT - 1)
    assert not stamps.check(IDLE_LIMIT, old)
    assert stamps.check(IDLE_LIMIT + 1, old)


@pytest.mark.rfc("7323", "4.3", "B7323-03")
@pytest.mark.parametrize(("seq", "recent"), [(10, RECENT + 7), (9, RECENT + 7), (11, RECENT)])
def test_only_a_segment_at_the_left_edge_advances_ts_recent(seq: int, recent: int) -> None:
    stamps = agreed()
    stamps.last_ack_sent = 10
    stamps.update(0, segment(RECENT + 7), seq)
    assert stamps.stamp(0, ACK)[1] == recent


@pytest.mark.rfc("7323", "3.2", "B7323-02")
@pytest.mark.parametrize(("wanted", "offered"), [(True, False), (False, True), (False, False)])
def test_without_both_sides_there_is_no_option(wanted: bool, offered: bool) -> None:
    stamps = Timestamps(wanted, 0)
    stamps.start(0, segment(7 if offered else ABSENT, flags=SYN))
    assert stamps.stamp(0, ACK) == (ABSENT, 0)


def test_a_syn_echoes_nothing() -> None:
    assert agreed(offset=3).stamp(2 * MS, SYN) == (5, 0)


@pytest.mark.parametrize("offset", [0, 0xFFFF_FFFF])
def test_an_echo_tells_when_what_it_answers_was_sent(offset: int) -> None:
    stamps = agreed(offset)
    sent, _ = stamps.stamp(1000 * MS, ACK)
    assert stamps.echoed_at(1250 * MS + 7, segment(RECENT, sent)) == 1000 * MS


@pytest.mark.parametrize("echo", [0, 1_000_500])
def test_an_echo_of_nothing_we_sent_tells_nothing(echo: int) -> None:
    assert agreed().echoed_at(1000 * MS, segment(RECENT, echo)) == -1
