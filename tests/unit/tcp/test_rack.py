"""RACK against RFC 8985: when a flight counts as lost, and how much reordering is put up with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tcp.rack import MAX_FLIGHTS, REO_WND_PERSIST, Rack
from plait.tcp.receiver import NEVER
from plait.tcp.rtt import RttEstimator
from plait.tcp.scoreboard import Scoreboard
from plait.tcp.settings import TcpSettings
from plait.units import MILLISECOND, Nanos, Octets

MS = MILLISECOND
MSS = 10
RTT = 40 * MS


class Bench:
    """A RACK with the scoreboard and the estimator it reads; position 0 is sent at time 0."""

    def __init__(self, *, rtt: Nanos = RTT) -> None:
        self.board = Scoreboard()
        self.estimator = RttEstimator(TcpSettings())
        self.estimator.on_sample(rtt)
        self.rack = Rack(self.board, self.estimator)
        self.una: Octets = 0

    def send(self, *segments: int, every: Nanos = MS) -> None:
        for number in segments:
            self.rack.on_sent(number * every, number * MSS, (number + 1) * MSS)

    def resend(self, now: Nanos, number: int) -> None:
        start, stop = number * MSS, (number + 1) * MSS
        self.board.on_resent(start, stop)
        self.rack.on_resent(now, start, stop)

    def sack(self, now: Nanos, *segments: int, echoed_at: Nanos = -1) -> None:
        for number in segments:
            block = (number * MSS, (number + 1) * MSS)
            for start, stop in self.board.on_sack([block], self.una - 1, 1 << 30):
                self.rack.on_delivered(now, start, stop, echoed_at)

    def lost(self, now: Nanos, *, recovering: bool = False) -> list[int]:
        self.rack.detect_losses(now, self.una, MSS, recovering=recovering)
        return [at // MSS for start, stop in self.board.lost for at in range(start, stop, MSS)]


@pytest.mark.rfc("8985", "6.2", "B8985-01")
@pytest.mark.parametrize(("late", "lost"), [(0, []), (RTT // 4 - 1, []), (RTT // 4, [0])])
def test_a_segment_has_a_quarter_of_a_round_trip_to_arrive_after_later_ones(
    late: Nanos, lost: list[int]
) -> None:
    bench = Bench()
    bench.send(0, 1, 2)
    bench.sack(RTT + MS, 1)
    assert bench.lost(RTT + late) == lost
    assert bench.rack.deadline == (NEVER if lost else RTT + RTT // 4)


@pytest.mark.rfc("8985", "6.2", "B8985-02")
def test_until_reordering_shows_three_segments_above_a_hole_are_enough() -> None:
    bench = Bench()
    bench.send(0, 1, 2, 3)
    bench.sack(RTT + 3 * MS, 1, 2)
    assert bench.lost(RTT + 3 * MS) == []
    bench.sack(RTT + 3 * MS, 3)
    assert bench.lost(RTT + 3 * MS) == [0]


@pytest.mark.rfc("8985", "6.2", "B8985-02")
def test_once_reordering_showed_they_are_not() -> None:
    bench = Bench()
    bench.send(*range(9))
    bench.sack(RTT + 2 * MS, 2)
    bench.sack(RTT + 3 * MS, 1)
    assert bench.rack.reordering_seen
    bench.sack(RTT + 8 * MS, 4, 5, 6, 7, 8)
    assert bench.lost(RTT + 8 * MS) == []
    assert bench.lost(RTT + RTT // 4) == [0]
    assert bench.rack.deadline == 3 * MS + RTT + RTT // 4


@pytest.mark.rfc("8985", "6.2", "B8985-01")
def test_segments_of_one_flight_are_in_order_of_sequence() -> None:
    bench = Bench()
    bench.rack.on_sent(0, 0, 10 * MSS)
    bench.sack(RTT, 4, 5, 6)
    assert bench.lost(RTT) == [0, 1, 2, 3]
    bench.sack(RTT, 9)
    assert bench.lost(RTT, recovering=True) == [0, 1, 2, 3, 7, 8]


@pytest.mark.rfc("8985", "6.2", "B8985-01")
def test_a_lost_retransmission_is_found_by_what_was_sent_after_it() -> None:
    bench = Bench()
    bench.send(0, 1, 2, 3)
    bench.sack(RTT, 1, 2, 3)
    assert bench.lost(RTT) == [0]
    bench.resend(RTT, 0)
    bench.send(50)
    assert bench.lost(2 * RTT + 15 * MS, recovering=True) == []
    bench.sack(50 * MS + RTT, 50)
    assert bench.lost(50 * MS + RTT, recovering=True) == [0]


@pytest.mark.rfc("8985", "6.2", "B8985-01")
@pytest.mark.parametrize(
    ("rtt", "echoed_at", "counts"), [(RTT, -1, True), (RTT - 1, -1, False), (RTT, 0, False)]
)
def test_the_ack_of_the_original_says_nothing_of_the_retransmission(
    rtt: Nanos, echoed_at: Nanos, counts: bool
) -> None:
    bench = Bench()
    bench.send(0, 1, 2, 3)
    bench.sack(RTT, 1, 2, 3)
    bench.lost(RTT)
    bench.resend(RTT + MS, 0)
    bench.sack(RTT + MS + rtt, 0, echoed_at=echoed_at)
    assert (bench.rack.xmit_ts == RTT + MS) is counts


@pytest.mark.rfc("8985", "6.2", "B8985-02")
def test_duplicate_reports_widen_the_window_once_a_round_up_to_srtt() -> None:
    bench = Bench()
    rack = bench.rack
    rack.reordering_seen = True
    widths = []
    for una in (10, 10, 21, 32, 43, 54):
        rack.on_duplicate_report(una + 10, una)
        widths.append(rack.reordering_window(MSS, recovering=True))
    quarter = RTT // 4
    assert widths == [2 * quarter, 2 * quarter, 3 * quarter, RTT, RTT, RTT]
    for _ in range(REO_WND_PERSIST - 1):
        rack.on_recovery_end()
    assert rack.reordering_window(MSS, recovering=True) == RTT
    rack.on_recovery_end()
    assert rack.reordering_window(MSS, recovering=True) == quarter


@pytest.mark.rfc("8985", "6.3", "B8985-01")
def test_a_time_out_spares_what_left_too_recently() -> None:
    bench = Bench()
    bench.send(0, 1, 90)
    bench.sack(RTT, 1)
    assert bench.rack.on_timeout(100 * MS, 0, MSS) == [(900, 910)]
    assert bench.rack.on_timeout(90 * MS + 2 * RTT, 0, MSS) == []


def test_flights_have_a_bound() -> None:
    bench = Bench()
    bench.send(*range(MAX_FLIGHTS + 100))
    assert len(bench.rack._first) == MAX_FLIGHTS
    assert bench.rack._first[-1].stop == (MAX_FLIGHTS + 100) * MSS
    bench.una = (MAX_FLIGHTS + 50) * MSS
    bench.rack.on_cumulative_ack(0, 0, bench.una, -1)
    assert len(bench.rack._first) == 1


moves = st.lists(
    st.tuples(st.sampled_from(["send", "sack", "ack", "resend", "probe"]), st.integers(0, 20)),
    max_size=40,
)


@given(moves, st.booleans())
def test_what_is_in_flight_is_in_just_one_flight(
    turns: list[tuple[str, int]], reordering: bool
) -> None:
    bench = Bench()
    bench.rack.reordering_seen = reordering
    now, nxt = 0, 0
    for move, number in turns:
        now += 3 * MS
        first = bench.una // MSS
        if move == "send":
            bench.rack.on_sent(now, nxt, nxt + MSS)
            nxt += MSS
        elif move == "sack" and first + number < nxt // MSS:
            bench.sack(now + RTT, first + number)
        elif move == "ack":
            ack = min(bench.una + number * MSS, nxt)
            for start, stop in bench.board.sacked.holes(bench.una, ack):
                bench.rack.on_delivered(now, start, stop, -1)
            bench.board.on_cumulative_ack(bench.una, ack)
            bench.rack.forget_below(ack)
            bench.una = ack
        elif move == "resend" and bench.board.lost:
            bench.resend(now, bench.board.lost.first[0] // MSS)
        elif move == "probe" and (holes := bench.board.sacked.holes(bench.una, nxt)):
            bench.rack.forget(holes[-1][1] - MSS, holes[-1][1])
            bench.resend(now, holes[-1][1] // MSS - 1)
        bench.lost(now, recovering=number % 2 == 0)
        flying = [
            at
            for one in bench.rack._first + bench.rack._again
            for at in range(max(one.start, bench.una), one.stop)
            if not bench.board.sacked.covers(at, at + 1)
        ]
        out = [at for start, stop in bench.board.lost for at in range(start, stop)]
        held = [at for start, stop in bench.board.sacked for at in range(start, stop)]
        assert sorted(flying + out + held) == list(range(bench.una, nxt))
