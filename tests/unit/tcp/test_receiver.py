"""The receiving half: acceptance, SACK blocks, when to acknowledge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tcp.receiver import NEVER, QUICK_ACKS, RECENT, Receiver, acceptable
from plait.tcp.settings import TcpSettings
from plait.trace.counters import Counters
from plait.units import MILLISECOND

NXT = 100

TABLE_6 = {
    "empty, window 0, at RCV.NXT": (NXT, 0, 0, True),
    "empty, window 0, before": (NXT - 1, 0, 0, False),
    "empty, window 0, after": (NXT + 1, 0, 0, False),
    "empty, window, at RCV.NXT": (NXT, 0, 10, True),
    "empty, window, last octet": (NXT + 9, 0, 10, True),
    "empty, window, just beyond": (NXT + 10, 0, 10, False),
    "empty, window, before": (NXT - 1, 0, 10, False),
    "data, window 0": (NXT, 1, 0, False),
    "data, window, inside": (NXT + 2, 3, 10, True),
    "data, window, begins before": (NXT - 2, 3, 10, True),
    "data, window, all before": (NXT - 3, 3, 10, False),
    "data, window, ends beyond": (NXT + 9, 5, 10, True),
    "data, window, all beyond": (NXT + 10, 5, 10, False),
}


@pytest.mark.rfc("9293", "3.10.7.4", "B9293-03")
@pytest.mark.parametrize(
    ("seq", "length", "window", "verdict"), TABLE_6.values(), ids=TABLE_6.keys()
)
def test_acceptability(seq: int, length: int, window: int, verdict: bool) -> None:
    assert acceptable(seq, length, NXT, window) is verdict


@given(st.integers(0, 30), st.integers(0, 12), st.integers(0, 12))
def test_acceptable_is_what_shares_a_position_with_the_window(
    seq: int, length: int, window: int
) -> None:
    nxt = 10
    inside = set(range(nxt, nxt + window))
    ends = {seq, seq + length - 1} if length else {seq}
    expected = bool(ends & inside) if window else length == 0 and seq == nxt
    assert acceptable(seq, length, nxt, window) is expected


def receiver() -> Receiver:
    return Receiver(TcpSettings(delayed_ack=40 * MILLISECOND), Counters())


def arrive(target: Receiver, start: int, length: int = 10) -> None:
    target.on_payload(0, start, (bytes(length),), length)


@pytest.mark.rfc("2018", "4", "B2018-01")
def test_the_latest_arrival_is_the_first_block() -> None:
    target = receiver()
    for start in (101, 301, 201):
        arrive(target, start)
    assert target.sack_ranges() == [(201, 211), (301, 311), (101, 111)]
    arrive(target, 311)
    assert target.sack_ranges() == [(301, 321), (201, 211), (101, 111)]


@pytest.mark.rfc("2018", "4", "B2018-01")
def test_no_more_blocks_than_an_option_holds_and_none_twice() -> None:
    target = receiver()
    for start in range(101, 1000, 100):
        arrive(target, start)
    ranges = target.sack_ranges()
    assert len(ranges) == RECENT
    assert ranges[0] == (901, 911)
    arrive(target, 1, 2000)
    assert target.sack_ranges() == []


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9)), max_size=20))
def test_blocks_are_held_ranges_above_the_gap(runs: list[tuple[int, int]]) -> None:
    target = receiver()
    held: set[int] = set()
    for start, length in runs:
        arrive(target, start, length)
        held |= set(range(start, start + length))
        target.on_ack_sent()
        for low, high in target.sack_ranges():
            assert target.rcv_nxt < low < high
            assert set(range(low, high)) <= held
            assert low - 1 not in held
            assert high not in held


TWICE = {
    "below the gap": ((1, 10), [(1, 11), (31, 41), (21, 26)]),
    "across its left edge": ((5, 12), [(5, 11), (31, 41), (21, 26)]),
    "all held": ((32, 4), [(32, 36), (31, 41), (21, 26)]),
    "held at its start": ((35, 10), [(35, 41), (31, 45), (21, 26)]),
    "held at its end": ((29, 5), [(31, 34), (29, 41), (21, 26)]),
    "nothing held": ((51, 10), [(51, 61), (31, 41), (21, 26)]),
}


@pytest.mark.rfc("2883", "4", "B2883-01")
@pytest.mark.parametrize(("again", "blocks"), TWICE.values(), ids=TWICE.keys())
def test_what_came_twice_is_the_first_block_and_told_once(
    again: tuple[int, int], blocks: list[tuple[int, int]]
) -> None:
    target = receiver()
    for start, length in ((1, 10), (21, 5), (31, 10)):
        arrive(target, start, length)
    arrive(target, *again)
    assert target.sack_ranges() == blocks
    target.on_ack_sent()
    assert target.duplicated is None


@pytest.mark.rfc("9293", "3.8.6.3", "B9293-10")
def test_after_the_start_every_second_full_segment_is_acknowledged() -> None:
    target = receiver()
    for _ in range(QUICK_ACKS):
        target.plan_ack(0, 1000, 1000)
        assert target.ack_now
        target.on_ack_sent()
    now = 7 * MILLISECOND
    target.plan_ack(now, 1000, 1000)
    assert not target.ack_now
    assert target.ack_deadline == now + 40 * MILLISECOND
    target.plan_ack(now + 1, 1000, 1000)
    assert target.ack_now
    target.on_ack_sent()
    assert (target.ack_now, target.ack_deadline) == (False, NEVER)


@pytest.mark.rfc("9293", "3.8.6.3", "B9293-10")
@pytest.mark.parametrize("start", [11, 1])
def test_a_gap_and_its_filling_are_acknowledged_at_once(start: int) -> None:
    target = receiver()
    if start == 1:
        arrive(target, 11)
        target.on_ack_sent()
    arrive(target, start)
    assert target.ack_now


def test_what_exceeds_the_window_is_cut() -> None:
    target = receiver()
    target.window = 15
    arrive(target, 1, 100)
    assert target.rcv_nxt == 16


def test_only_the_first_fin_tells_the_end_and_counts_once_in_order() -> None:
    target = receiver()
    target.on_fin(11)
    target.on_fin(31)
    assert target.rcv_nxt == 1
    arrive(target, 1, 10)
    assert target.rcv_nxt == 12
