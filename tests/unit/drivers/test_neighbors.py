from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.neighbors import (
    MAX_ENTRIES,
    MAX_HELD,
    REACHABLE,
    RETRANSMISSION,
    TRIES,
    Neighbors,
    Question,
)
from plait.units import SECOND, Nanos
from plait.wire.segment import ACK, Segment

HOP, OTHER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
MAC, MOVED = bytes.fromhex("02005e100001"), bytes.fromhex("02005e100002")


def segment(number: int) -> Segment:
    return Segment(bytes(12), number, 0, ACK, 0)


def tick(neighbors: Neighbors, until: Nanos) -> Nanos:
    """Serve every timeout up to a time and return that time."""
    for _ in range(100):
        due = neighbors.next_timeout()
        if due is None or due > until:
            return until
        neighbors.handle_timeout(due)
    raise AssertionError("a timeout that does not move")


def test_a_stranger_is_asked_for_and_what_waits_leaves_when_he_answers() -> None:
    neighbors = Neighbors()
    assert neighbors.find(0, HOP) == b""
    neighbors.hold(HOP, segment(1))
    assert neighbors.find(1, HOP) == b""
    neighbors.hold(HOP, segment(2))
    assert neighbors.holding()
    assert neighbors.take_questions() == [Question(HOP, b"")]
    assert [one.seq for one in neighbors.learn(2, HOP, MAC)] == [1, 2]
    assert not neighbors.holding()
    assert neighbors.find(3, HOP) == MAC
    assert neighbors.take_questions() == []


def test_who_does_not_answer_is_asked_a_few_times_and_then_forgotten() -> None:
    neighbors = Neighbors()
    neighbors.find(0, HOP)
    neighbors.hold(HOP, segment(1))
    tick(neighbors, RETRANSMISSION * (TRIES - 1))
    assert neighbors.take_questions() == [Question(HOP, b"")] * TRIES
    assert neighbors.dropped == 0
    tick(neighbors, RETRANSMISSION * TRIES)
    assert neighbors.dropped == 1
    assert neighbors.next_timeout() is None
    assert neighbors.find(SECOND * 60, HOP) == b""
    assert neighbors.take_questions() == [Question(HOP, b"")]


def test_an_old_entry_is_used_while_its_station_is_asked() -> None:
    neighbors = Neighbors()
    neighbors.find(0, HOP)
    neighbors.learn(0, HOP, MAC)
    neighbors.take_questions()
    assert neighbors.find(REACHABLE - 1, HOP) == MAC
    assert neighbors.take_questions() == []
    assert neighbors.find(REACHABLE, HOP) == MAC
    assert neighbors.take_questions() == [Question(HOP, MAC)]
    neighbors.learn(REACHABLE + 1, HOP, MAC)
    tick(neighbors, 2 * REACHABLE)
    assert neighbors.take_questions() == []


def test_a_station_that_went_silent_is_looked_for_anew() -> None:
    neighbors = Neighbors()
    neighbors.find(0, HOP)
    neighbors.learn(0, HOP, MAC)
    neighbors.find(REACHABLE, HOP)
    now = tick(neighbors, REACHABLE + TRIES * RETRANSMISSION)
    neighbors.take_questions()
    assert neighbors.find(now, HOP) == b""
    assert neighbors.take_questions() == [Question(HOP, b"")]


def test_a_timeout_says_whom_to_find_again() -> None:
    neighbors = Neighbors()
    neighbors.find(0, HOP)
    neighbors.learn(0, HOP, MAC)
    assert neighbors.handle_timeout(RETRANSMISSION) == []
    assert neighbors.next_timeout() == REACHABLE
    assert neighbors.handle_timeout(REACHABLE) == [HOP]


def test_a_neighbor_may_move_but_nobody_enters_uninvited() -> None:
    neighbors = Neighbors()
    neighbors.find(0, HOP)
    neighbors.learn(0, HOP, MAC)
    neighbors.learn(1, HOP, MOVED)
    assert neighbors.find(2, HOP) == MOVED
    assert neighbors.learn(3, OTHER, MAC) == []
    assert neighbors.find(4, OTHER) == b""


def test_some_may_only_confirm_what_is_known() -> None:
    neighbors = Neighbors()
    neighbors.find(0, HOP)
    neighbors.learn(0, HOP, MAC, override=False)
    assert neighbors.find(1, HOP) == MAC
    neighbors.learn(2, HOP, MOVED, override=False)
    assert neighbors.find(3, HOP) == MAC


def test_what_waits_is_bounded_and_the_oldest_goes() -> None:
    neighbors = Neighbors()
    neighbors.find(0, HOP)
    for number in range(MAX_HELD + 5):
        neighbors.hold(HOP, segment(number))
    assert neighbors.dropped == 5
    assert [one.seq for one in neighbors.learn(1, HOP, MAC)] == list(range(5, MAX_HELD + 5))


def test_entries_are_bounded_and_the_oldest_goes() -> None:
    neighbors = Neighbors()
    hops = [number.to_bytes(4, "big") for number in range(MAX_ENTRIES + 1)]
    for hop in hops:
        neighbors.find(0, hop)
        neighbors.learn(0, hop, MAC)
    assert neighbors.find(1, hops[-1]) == MAC
    assert neighbors.find(1, hops[0]) == b""


@given(st.lists(st.tuples(st.sampled_from("fhlt"), st.integers(0, 3), st.integers(0, 40))))
def test_timeouts_move_on_and_no_segment_is_lost_uncounted(
    steps: list[tuple[str, int, int]],
) -> None:
    neighbors = Neighbors()
    now, held, released = 0, 0, 0
    for what, number, seconds in steps:
        hop = bytes([10, 0, 0, number])
        if what == "t":
            now = tick(neighbors, now + seconds * SECOND)
        elif what == "l":
            released += len(neighbors.learn(now, hop, MAC))
        elif not neighbors.find(now, hop) and what == "h":
            neighbors.hold(hop, segment(held))
            held += 1
        due = neighbors.next_timeout()
        assert due is None or due > now
    tick(neighbors, now + 100 * SECOND)
    assert released + neighbors.dropped == held
