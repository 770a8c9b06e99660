"""The scoreboard against the rules of RFC 6675."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tcp.scoreboard import Scoreboard

MSS = 10


def sacked(*blocks: tuple[int, int], nxt: int = 1000) -> Scoreboard:
    board = Scoreboard()
    board.on_sack(blocks, 0, nxt)
    return board


LOSSES = {
    "nothing SACKed": ([], []),
    "two segments above": ([(20, 40)], []),
    "more than two segments above": ([(20, 41)], [(0, 20)]),
    "two pieces above": ([(20, 21), (30, 31)], []),
    "three pieces above": ([(20, 21), (30, 31), (50, 51)], [(0, 20)]),
    "two holes, enough above both": ([(20, 30), (40, 70)], [(0, 20), (30, 40)]),
    "two holes, enough above the first only": ([(20, 30), (40, 55)], [(0, 20)]),
}


@pytest.mark.rfc("6675", "4", "B6675-01")
@pytest.mark.parametrize(("blocks", "lost"), LOSSES.values(), ids=LOSSES.keys())
def test_is_lost(blocks: list[tuple[int, int]], lost: list[tuple[int, int]]) -> None:
    board = sacked(*blocks)
    assert board.detect_losses(0, MSS) == sum(stop - start for start, stop in lost)
    assert list(board.lost) == lost


@pytest.mark.rfc("6675", "4", "B6675-01")
def test_pipe_leaves_out_what_is_sacked_or_lost_until_it_is_sent_again() -> None:
    board = sacked((20, 50), nxt=100)
    assert board.in_flight(0, 100) == 70
    board.detect_losses(0, MSS)
    assert board.in_flight(0, 100) == 50
    board.on_resent(0, 10, 100)
    assert board.in_flight(0, 100) == 60


def test_what_was_sent_again_is_not_lost_anew_in_the_same_episode() -> None:
    board = sacked((20, 50))
    board.detect_losses(0, MSS)
    board.on_resent(0, 20, 1000)
    assert board.detect_losses(0, MSS) == 0
    board.end_episode()
    assert board.detect_losses(0, MSS) == 20


@pytest.mark.parametrize(("top", "anew"), [(119, 0), (120, 0), (121, 20)])
def test_a_retransmission_that_later_data_overtook_is_lost_too(top: int, anew: int) -> None:
    board = sacked((20, 50))
    board.detect_losses(0, MSS)
    board.on_resent(0, 20, 100)
    board.on_sack([(50, top)], 0, 1000)
    assert board.detect_losses(0, MSS) == anew


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
    assert board.on_sack([block], 10, 100) == 0
    assert not board.sacked


blocks = st.lists(st.tuples(st.integers(-5, 110), st.integers(-5, 110)), max_size=6)


@given(st.lists(st.tuples(blocks, st.integers(0, 30), st.booleans()), max_size=12))
def test_no_octet_is_in_two_states_and_pipe_never_negative(
    turns: list[tuple[list[tuple[int, int]], int, bool]],
) -> None:
    board = Scoreboard()
    una, nxt = 0, 100
    for seen, advance, resend in turns:
        board.on_sack(seen, una, nxt)
        ack = min(una + advance, nxt)
        board.on_cumulative_ack(una, ack)
        una = ack
        board.detect_losses(una, MSS)
        if resend and board.lost:
            board.on_resent(*board.lost.first, nxt)
        for start, stop in board.lost:
            assert board.sacked.holes(start, stop) == [(start, stop)]
            assert board.resent.holes(start, stop) == [(start, stop)]
        assert 0 <= board.in_flight(una, nxt) <= nxt - una
