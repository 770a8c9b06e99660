"""The scoreboard against the rules of RFC 6675."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tcp.scoreboard import MAX_RANGES, Scoreboard, duplicate_report

MSS = 10


def sacked(*blocks: tuple[int, int], nxt: int = 1000) -> Scoreboard:
    board = Scoreboard()
    board.on_sack(blocks, 0, nxt)
    return board


MANY = {
    "nothing": ([], False),
    "two segments": ([(20, 40)], False),
    "more than two segments": ([(20, 41)], True),
    "two pieces": ([(20, 21), (30, 31)], False),
    "three pieces": ([(20, 21), (30, 31), (50, 51)], True),
}


@pytest.mark.rfc("6675", "4", "B6675-01")
@pytest.mark.parametrize(("blocks", "many"), MANY.values(), ids=MANY.keys())
def test_what_makes_a_hole_below_a_loss(blocks: list[tuple[int, int]], many: bool) -> None:
    assert sacked(*blocks).many_sacked(MSS) is many


@pytest.mark.rfc("6675", "4", "B6675-01")
def test_pipe_leaves_out_what_is_sacked_or_lost_until_it_is_sent_again() -> None:
    board = sacked((20, 50), nxt=100)
    assert board.in_flight(0, 100) == 70
    assert board.mark_lost(0, 30) == 20
    assert board.in_flight(0, 100) == 50
    board.on_resent(0, 10)
    assert board.in_flight(0, 100) == 60


@pytest.mark.rfc("2018", "8", "B2018-02")
def test_a_time_out_forgets_sacks_and_counts_all_as_lost() -> None:
    board = sacked((20, 50))
    board.on_timeout(0, 100)
    assert list(board.lost) == [(0, 100)]
    assert not board.sacked
    assert board.in_flight(0, 100) == 0


BLOCKS = {
    "below SND.UNA": (5, 15),
    "at SND.UNA": (10, 20),
    "beyond SND.NXT": (90, 101),
    "empty": (30, 30),
    "reversed": (40, 30),
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_blocks_that_say_nothing_true_are_ignored(block: tuple[int, int]) -> None:
    board = Scoreboard()
    assert board.on_sack([block], 10, 100) == []
    assert not board.sacked


def test_a_block_that_comes_again_with_more_tells_only_that() -> None:
    board = sacked((20, 30), (40, 50))
    assert board.on_sack([(10, 60)], 0, 1000) == [(10, 20), (30, 40), (50, 60)]
    assert board.on_sack([(10, 60)], 0, 1000) == []


def test_ranges_have_a_bound() -> None:
    board = Scoreboard()
    blocks = [(at, at + 1) for at in range(1, 2 * MAX_RANGES + 3, 2)]
    board.on_sack(blocks, 0, 4 * MAX_RANGES)
    assert len(board.sacked) == MAX_RANGES


REPORTS = {
    "none": ([], None),
    "below the ACK": ([(10, 20)], (10, 20)),
    "up to the ACK": ([(10, 100)], (10, 100)),
    "above it": ([(110, 120)], None),
    "inside the second": ([(110, 120), (105, 130)], (110, 120)),
    "the second itself": ([(110, 120), (110, 120)], (110, 120)),
    "beside the second": ([(110, 120), (125, 130)], None),
    "empty": ([(10, 10)], None),
}


@pytest.mark.rfc("2883", "4", "B2883-01")
@pytest.mark.parametrize(("blocks", "twice"), REPORTS.values(), ids=REPORTS.keys())
def test_a_duplicate_report(blocks: list[tuple[int, int]], twice: tuple[int, int] | None) -> None:
    assert duplicate_report(blocks, 100) == twice


blocks = st.lists(st.tuples(st.integers(-5, 110), st.integers(-5, 110)), max_size=6)


@given(st.lists(st.tuples(blocks, st.integers(0, 30), st.integers(0, 100)), max_size=12))
def test_no_octet_is_in_two_states_and_pipe_never_negative(
    turns: list[tuple[list[tuple[int, int]], int, int]],
) -> None:
    board = Scoreboard()
    una, nxt = 0, 100
    for seen, advance, lost in turns:
        ack = min(una + advance, nxt)
        board.on_cumulative_ack(una, ack)
        una = ack
        board.on_sack(seen, una, nxt)
        board.mark_lost(una, max(lost, una))
        if lost % 2 and board.lost:
            board.on_resent(*board.lost.first)
        for start, stop in board.lost:
            assert board.sacked.holes(start, stop) == [(start, stop)]
        assert 0 <= board.in_flight(una, nxt) <= nxt - una
