"""The shared receive window: what is told, and that it never moves left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.mptcp.receiver import LEAST_MOVE, StreamReceiver

turns = st.lists(
    st.tuples(st.sampled_from(["data", "read", "tell"]), st.integers(1, 5000)), max_size=80
)


@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-02")
@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-04")
@given(turns, st.integers(1000, 300_000), st.sampled_from([0, 2, 8, 14]))
def test_the_told_edge_never_moves_left_and_what_it_allows_is_taken(
    turns: list[tuple[str, int]], capacity: int, scale: int
) -> None:
    receiver = StreamReceiver(capacity)
    told = 1
    sent = 1
    read = 1
    for what, size in turns:
        if what == "data":
            length = min(size, told - sent)
            if length > 0:
                assert receiver.insert(sent, (bytes(length),), length) == length
                sent += length
        elif what == "read":
            read += sum(map(len, receiver.read(size)))
        else:
            window = receiver.offer(scale)
            assert window % (1 << scale) == 0
            receiver.on_told(window)
            edge = receiver.reassembly.next + window
            crept = told - receiver._edge
            assert edge >= told if crept <= capacity // 2 else edge > told - (1 << scale)
            assert edge <= read + capacity + capacity // 2 + (1 << scale)
            told = max(told, edge)


@given(st.integers(1, 300), st.sampled_from([8, 10]))
def test_small_segments_do_not_open_the_window_for_ever(length: int, scale: int) -> None:
    receiver = StreamReceiver(10_000)
    told = 1 + receiver.offer(scale)
    sent = 1
    while sent + length <= told and sent < 100_000:
        receiver.insert(sent, (bytes(length),), length)
        sent += length
        window = receiver.offer(scale)
        receiver.on_told(window)
        told = max(told, sent + window)
    assert sent <= 15_000 + (1 << scale)


def test_small_reads_do_not_open_the_window_by_small_steps() -> None:
    receiver = StreamReceiver(10_000)
    receiver.insert(1, (bytes(10_000),), 10_000)
    for _ in range(LEAST_MOVE - 1):
        receiver.read(1)
    assert receiver.window() == 0
    receiver.read(1)
    assert receiver.window() == LEAST_MOVE


@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-01")
@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-05")
def test_rcv_nxt_counts_a_data_fin_only_when_all_before_it_is_here() -> None:
    receiver = StreamReceiver(1000)
    receiver.fin_at = 11
    receiver.insert(6, (b"world",), 5)
    assert (receiver.rcv_nxt, receiver.ended) == (1, False)
    receiver.insert(1, (b"hello",), 5)
    assert (receiver.rcv_nxt, receiver.ended) == (12, True)
    assert b"".join(receiver.read(100)) == b"helloworld"


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-15")
def test_data_beyond_the_data_fin_is_refused() -> None:
    receiver = StreamReceiver(1000)
    receiver.fin_at = 4
    assert receiver.insert(1, (b"abcd",), 4) == 0
    assert receiver.insert(1, (b"abc",), 3) == 3


@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-03")
def test_data_far_beyond_the_window_is_refused() -> None:
    receiver = StreamReceiver(1000)
    assert receiver.insert(2001, (b"x",), 1) == 0
    assert receiver.insert(2000, (b"x",), 1) == 1


def test_after_discard_nothing_is_kept_and_the_window_is_open() -> None:
    receiver = StreamReceiver(10_000)
    receiver.insert(1, (bytes(9000),), 9000)
    receiver.discard()
    receiver.insert(9001, (bytes(900),), 900)
    assert receiver.read(100_000) == []
    assert receiver.window() >= 10_000 - LEAST_MOVE
    assert receiver.rcv_nxt == 9901


@given(st.lists(st.integers(1, 50), max_size=20), st.lists(st.integers(0, 60), max_size=40))
def test_reads_of_any_size_give_the_stream(arrivals: list[int], reads: list[int]) -> None:
    receiver = StreamReceiver(10_000)
    stream = bytes(range(250)) * 4
    at = 0
    for length in arrivals:
        receiver.insert(1 + at, (stream[at : at + length],), length)
        at += length
    got = b""
    for size in [*reads, 10_000]:
        pieces = receiver.read(size)
        assert sum(map(len, pieces)) <= size
        got += b"".join(pieces)
        assert receiver.unread == at - len(got)
    assert got == stream[:at]
