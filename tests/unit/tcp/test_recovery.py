"""Whole transfers over lines that lose, reorder and delay: what is sent again, at what cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.script import PLAIN, TcpPeer
from support.world import DELAY, NEAR, World

from plait.congestion.base import INFINITE
from plait.host.settings import Settings
from plait.tcp.sender import Sender
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.segment import ACK, Segment
from plait.wire.tcp_options import Mss, SackPermitted

MS = MILLISECOND
RTT = 2 * DELAY
TCP = Settings(mptcp=False)
MSS = 1448
"""Payload of a full segment beside timestamps."""

PEER_MSS = 1000


@dataclass
class Outcome:
    """What became of one transfer."""

    world: World
    sender: Sender
    repeats: list[int]
    """Data segments that left more than once, by their number among the first transmissions."""


Fate = Callable[[Nanos, int, int], Nanos | None]
"""Of the time, a segment's number and how often it left before: its lateness, None for never."""


def transfer(segments: int, fate: Fate, chosen: Settings = TCP) -> Outcome:
    """Send so many full segments, numbered from 0, through a line with this fate for each."""
    world = World(chosen, near=NEAR[:1], whole=False)
    world.start(subflows=1)
    first: dict[int, int] = {}
    times: dict[int, int] = {}
    repeats: list[int] = []
    began = world.now

    def hook(now: Nanos, segment: Segment) -> Iterable[tuple[Nanos, Segment]]:
        if not segment.length:
            return [(0, segment)]
        number = first.setdefault(segment.seq, len(first))
        before = times.get(number, 0)
        times[number] = before + 1
        if before:
            repeats.append(number)
        late = fate(now, number, before)
        return [] if late is None else [(late, segment)]

    world.initiator.line.hook = hook
    sender = world.initiator.connection.subflows[0].tcp.sender
    data = bytes(at % 251 for at in range(segments * sender.mss))
    world.initiator.to_send = data
    while len(world.listener.received) < len(data):
        world.run(MS if world.now < began + SECOND else SECOND)
        assert world.now < began + 3600 * SECOND
    world.run(3 * SECOND)
    assert bytes(world.listener.received) == data
    return Outcome(world, sender, sorted(repeats))


def losing(*numbers: int, copies: int = 1) -> Fate:
    """Return the fate that the first copies of these segments are lost."""
    return lambda _now, number, before: None if number in numbers and before < copies else 0


def later(span: Nanos, *numbers: int) -> Fate:
    """Return the fate that the first copies of these segments are late."""
    return lambda _now, number, before: span if number in numbers and not before else 0


# ---- losses


LOSSES = {
    "one": (losing(20), [20]),
    "two in a row": (losing(20, 21), [20, 21]),
    "every third": (losing(*range(30, 60, 3)), list(range(30, 60, 3))),
    "the first": (losing(0), [0]),
    "a retransmission": (losing(20, copies=2), [20, 20]),
}


@pytest.mark.rfc("8985", "6.2", "B8985-01")
@pytest.mark.rfc("6675", "5", "B6675-01")
@pytest.mark.parametrize(("fate", "repeats"), LOSSES.values(), ids=LOSSES.keys())
def test_just_what_was_lost_is_sent_again_without_a_time_out(
    fate: Fate, repeats: list[int]
) -> None:
    outcome = transfer(120, fate)
    assert outcome.repeats == repeats
    assert outcome.sender.timeouts == 0
    assert outcome.sender.resent_segments == len(repeats)


@pytest.mark.rfc("8985", "7.3", "B8985-03")
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_tail_of_a_flight_comes_without_a_time_out(count: int) -> None:
    outcome = transfer(40, losing(*range(40 - count, 40)))
    assert outcome.sender.timeouts == 0
    assert outcome.sender.recovery.tail.probes == 1
    assert outcome.repeats == list(range(40 - count, 40))


@pytest.mark.rfc("6675", "4", "B6675-01")
def test_the_last_segment_lost_during_a_recovery_is_rescued() -> None:
    outcome = transfer(44, losing(30, 43))
    assert outcome.repeats == [30, 43]
    assert outcome.sender.timeouts == 0


def test_a_lost_fin_is_asked_after_before_the_timer_fires() -> None:
    world = World(TCP, near=NEAR[:1], whole=False)
    world.start(subflows=1)
    fins: list[Nanos] = []

    def hook(now: Nanos, segment: Segment) -> Iterable[tuple[Nanos, Segment]]:
        if segment.flags & 1:
            fins.append(now)
            return [] if len(fins) == 1 else [(0, segment)]
        return [(0, segment)]

    world.initiator.line.hook = hook
    sender = world.initiator.connection.subflows[0].tcp.sender
    world.initiator.finish = True
    world.run(SECOND)
    assert len(fins) == 2
    assert sender.timeouts == 0


# ---- reordering


@pytest.mark.rfc("8985", "6.2", "B8985-02")
def test_slight_reordering_brings_nothing_back_once_it_was_seen() -> None:
    outcome = transfer(200, lambda _now, number, _: RTT // 5 if number % 7 == 3 else 0)
    assert outcome.sender.recovery.rack.reordering_seen
    assert all(number < 20 for number in outcome.repeats)


@pytest.mark.rfc("8985", "6.2", "B8985-02")
def test_reports_of_duplicates_widen_the_window_until_reordering_fits() -> None:
    outcome = transfer(600, lambda _now, number, _: RTT * 2 // 3 if number % 40 == 30 else 0)
    assert outcome.sender.recovery.rack.reo_wnd_mult > 1
    assert [number for number in outcome.repeats if number > 300] == []


@pytest.mark.rfc("4015", "3", "B5682-01")
@pytest.mark.rfc("9438", "4.9.2", "B9438-02")
@pytest.mark.parametrize("timestamps", [True, False])
def test_a_recovery_for_nothing_gives_the_window_back(timestamps: bool) -> None:
    chosen = replace(TCP, timestamps=timestamps)
    outcome = transfer(60, later(RTT // 2, 30), chosen)
    assert outcome.repeats == [30]
    assert outcome.sender.recovery.undone == 1
    assert outcome.sender.controller.ssthresh == INFINITE


@pytest.mark.parametrize("timestamps", [True, False])
def test_a_recovery_for_a_loss_is_not_undone(timestamps: bool) -> None:
    outcome = transfer(60, losing(30), replace(TCP, timestamps=timestamps))
    assert outcome.sender.recovery.undone == 0
    assert outcome.sender.controller.ssthresh < INFINITE


# ---- time-outs


def spike(start: int, span: Nanos) -> Fate:
    """Return the fate that the path stands still for a time, then delivers segment by segment."""
    until = 0

    def fate(now: Nanos, number: int, _before: int) -> Nanos:
        nonlocal until
        if number == start and not until:
            until = now + span
        until += MS // 10 if until else 0
        return max(until - now, 0)

    return fate


@pytest.mark.rfc("5682", "3", "B5682-01")
@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("sack", [True, False])
def test_a_delay_spike_costs_no_window(timestamps: bool, sack: bool) -> None:
    chosen = replace(TCP, timestamps=timestamps, sack=sack)
    outcome = transfer(600, spike(200, SECOND // 2), chosen)
    assert outcome.sender.timeouts >= 1
    assert outcome.sender.recovery.undone >= 1
    assert len(outcome.repeats) < 12


@pytest.mark.rfc("6298", "5", "B6298-02")
@pytest.mark.parametrize("sack", [True, False])
def test_a_flight_lost_whole_comes_back(sack: bool) -> None:
    lost = range(60, 90)
    outcome = transfer(200, losing(*lost), replace(TCP, sack=sack))
    assert set(lost) <= set(outcome.repeats)
    assert outcome.sender.recovery.undone == 0
    if sack:
        assert outcome.repeats == list(lost)


@pytest.mark.rfc("6582", "3.2", "B6582-01")
def test_without_sack_several_losses_take_a_round_trip_each() -> None:
    outcome = transfer(120, losing(40, 42, 44), replace(TCP, sack=False))
    assert outcome.repeats == [40, 42, 44]
    assert outcome.sender.timeouts == 0


fates = st.dictionaries(st.integers(0, 80), st.integers(1, 3), max_size=30)


@settings(max_examples=15, deadline=None)
@given(fates, st.dictionaries(st.integers(0, 80), st.integers(0, 60)), st.booleans(), st.booleans())
def test_whatever_happens_the_stream_arrives_and_nothing_is_left_behind(
    lost: dict[int, int], late: dict[int, int], sack: bool, timestamps: bool
) -> None:
    def fate(_now: Nanos, number: int, before: int) -> Nanos | None:
        return None if before < lost.get(number, 0) else late.get(number, 0) * MS

    outcome = transfer(80, fate, replace(TCP, sack=sack, timestamps=timestamps))
    sender = outcome.sender
    assert sender.in_flight() == 0
    assert not sender.outstanding()
    assert not sender.recovery.reducing
    rack = sender.recovery.rack
    assert (rack._first, rack._again) == ([], [])


# ---- a peer by script


def peer_with(*, sack: bool = True) -> TcpPeer:
    options = [Mss(PEER_MSS), *([SackPermitted()] if sack else [])]
    return TcpPeer(PLAIN, options=options, rtt=RTT)


def sender_of(peer: TcpPeer) -> Sender:
    return peer.script.connection(peer.id).subflows[0].tcp.sender


def primed(*, sack: bool = True) -> TcpPeer:
    """Return a peer with ten segments in flight."""
    peer = peer_with(sack=sack)
    peer.script.write(peer.id, bytes(10 * PEER_MSS))
    return peer


def numbers(peer: TcpPeer, segments: list[Segment]) -> list[int]:
    """Return the segments with data by their number, counted from 0."""
    return [peer.flow.position(one) // PEER_MSS for one in segments if one.length]


def block(start: int, stop: int) -> tuple[int, int]:
    return 1 + start * PEER_MSS, 1 + stop * PEER_MSS


@pytest.mark.rfc("2018", "8", "B2018-02")
def test_a_peer_that_reneges_gets_all_of_it_again() -> None:
    peer = primed()
    peer.flow.send(ACK, ack=1, sack=[block(1, 10)])
    peer.script.wait(3 * SECOND)
    before = len(peer.flow.sent)
    for reached in range(1, 11):
        peer.flow.send(ACK, ack=1 + reached * PEER_MSS)
    assert set(numbers(peer, peer.flow.sent[before:])) >= set(range(2, 10))
    assert not sender_of(peer).outstanding()


@pytest.mark.rfc("2018", "8", "B2018-02")
def test_what_was_sacked_is_kept_until_it_is_acknowledged() -> None:
    peer = primed()
    peer.flow.send(ACK, ack=1, sack=[block(1, 10)])
    (run,) = sender_of(peer).runs
    assert (run.start, run.stop) == (1, 1 + 10 * PEER_MSS)


@pytest.mark.rfc("3042", "2", "B3042-01")
@pytest.mark.parametrize("sack", [True, False])
def test_the_first_two_duplicates_let_new_data_go(sack: bool) -> None:
    peer = peer_with(sack=sack)
    sender = sender_of(peer)
    sender.controller.cwnd = 3 * PEER_MSS
    peer.script.write(peer.id, bytes(9 * PEER_MSS))
    assert numbers(peer, peer.flow.sent) == [0, 1, 2]
    sent = []
    for count in (1, 2):
        sent += peer.flow.send(ACK, ack=1, sack=[block(1, 1 + count)] if sack else [])
    assert numbers(peer, sent) == [3, 4]
    assert sender.controller.cwnd == 3 * PEER_MSS


@pytest.mark.rfc("6582", "4.1", "B6582-01")
def test_echoes_of_our_own_repeats_are_no_loss() -> None:
    peer = primed(sack=False)
    peer.script.wait(SECOND)
    sender = sender_of(peer)
    assert sender.timeouts
    peer.flow.send(ACK, ack=1 + 9 * PEER_MSS)
    for _ in range(4):
        peer.flow.send(ACK, ack=1 + 9 * PEER_MSS)
    assert not sender.recovery.reducing


@pytest.mark.rfc("8985", "7.2", "B8985-03")
@pytest.mark.parametrize(("segments", "wait"), [(1, 200 * MS), (2, 40 * MS)])
def test_a_probe_comes_after_two_round_trips_and_a_delayed_ack(segments: int, wait: Nanos) -> None:
    peer = peer_with()
    sender = sender_of(peer)
    peer.script.write(peer.id, bytes(segments * PEER_MSS))
    assert peer.script.wait(wait - 1) == []
    assert numbers(peer, peer.script.wait(1)) == [segments - 1]
    assert peer.script.wait(sender.rtt.rto - 1) == []
    assert numbers(peer, peer.script.wait(1)) == [0]
    assert (sender.timeouts, sender.recovery.tail.probes) == (1, 1)


@pytest.mark.rfc("8985", "7.4", "B8985-03")
@pytest.mark.parametrize("report", [True, False])
def test_a_probe_that_repaired_a_loss_reduces_the_window_once(report: bool) -> None:
    peer = peer_with()
    controller = sender_of(peer).controller
    peer.script.write(peer.id, bytes(2 * PEER_MSS))
    assert numbers(peer, peer.script.wait(2 * RTT)) == [1]
    peer.flow.send(ACK, ack=1 + 2 * PEER_MSS, sack=[block(1, 2)] if report else [])
    before = controller.cwnd
    for _ in range(2):
        peer.script.write(peer.id, bytes(PEER_MSS))
        peer.flow.send(ACK)
    assert (controller.cwnd < before) is not report
    assert controller.ssthresh == (INFINITE if report else before * 7 // 10)


@pytest.mark.rfc("8985", "7.3", "B8985-03")
def test_a_probe_is_new_data_if_there_is_some() -> None:
    peer = peer_with()
    peer.script.write(peer.id, bytes(12 * PEER_MSS))
    assert numbers(peer, peer.flow.sent) == list(range(10))
    assert numbers(peer, peer.script.wait(100 * MS)) == [10]


@pytest.mark.rfc("6928", "2", "B6928-01")
@pytest.mark.rfc("6298", "5.7", "B6298-02")
@pytest.mark.parametrize(("lost", "window", "rto"), [(0, 10, 200), (1, 10, 3000), (2, 1, 3000)])
def test_lost_syns_make_a_cautious_start(lost: int, window: int, rto: int) -> None:
    world = World(TCP, near=NEAR[:1], whole=False)
    syns: list[Nanos] = []

    def hook(now: Nanos, segment: Segment) -> Iterable[tuple[Nanos, Segment]]:
        syns.append(now)
        return [] if len(syns) <= lost else [(0, segment)]

    world.initiator.line.hook = hook
    for end in world.ends:
        end.finish = False
    world.connect()
    world.run(10 * SECOND)
    sender = world.initiator.connection.subflows[0].tcp.sender
    assert sender.controller.cwnd // sender.mss == window
    assert sender.rtt.rto == rto * MS
