"""Data in both directions: windows, acknowledgments, loss and its repair."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import PLAIN, TcpPeer, payload

from plait.host.events import LossReason
from plait.tcp.receiver import QUICK_ACKS
from plait.units import MILLISECOND, SECOND
from plait.wire.segment import ACK, FIN, PSH, URG, Segment
from plait.wire.tcp_options import Mss, SackPermitted

MSS = 1000
DATA = bytes(at % 251 for at in range(20 * MSS))


def peer_with(*, sack: bool = True) -> TcpPeer:
    options = [Mss(MSS), *([SackPermitted()] if sack else [])]
    return TcpPeer(PLAIN, options=options, rtt=20 * MILLISECOND)


def starts(peer: TcpPeer, segments: list[Segment]) -> list[int]:
    """Return the positions of the segments that carry data."""
    return [peer.flow.position(segment) for segment in segments if segment.length]


# ---- sending


def test_the_first_flight_is_the_initial_window() -> None:
    peer = peer_with()
    sent = peer.script.write(peer.id, DATA)
    assert payload(sent) == DATA[: 10 * MSS]


@pytest.mark.rfc("9293", "3.9.1.1", "B9293-19")
def test_the_last_segment_is_pushed() -> None:
    peer = peer_with()
    sent = peer.script.write(peer.id, DATA[: 3 * MSS])
    assert [bool(segment.flags & PSH) for segment in sent] == [False, False, True]


@pytest.mark.rfc("9293", "3.8.6", "B9293-07")
@pytest.mark.parametrize("window", [1, 999, 1000, 2500])
def test_never_beyond_the_peers_window(window: int) -> None:
    peer = peer_with()
    peer.flow.send(ACK, window=window)
    sent = peer.script.write(peer.id, DATA)
    assert payload(sent) == DATA[: window - window % MSS]
    for _ in range(5):
        sent = peer.flow.send(ACK, window=window)
        assert len(payload(sent)) <= window


@pytest.mark.rfc("9293", "3.8.6.2.1", "B9293-09")
@pytest.mark.parametrize("window", [1, MSS // 2, MSS - 1])
def test_a_silly_window_is_used_only_after_a_while(window: int) -> None:
    peer = peer_with()
    peer.flow.send(ACK, window=window)
    assert peer.script.write(peer.id, DATA) == []
    assert peer.script.wait(peer.script.connection(peer.id).settings.min_rto - 1) == []
    assert payload(peer.script.wait(1)) == DATA[:window]
    peer.flow.send(ACK, window=window)
    assert payload(peer.flow.send(ACK, window=2 * MSS)) == DATA[window : window + 2 * MSS]


@pytest.mark.rfc("9293", "3.8.6.2.1", "B9293-09")
def test_half_of_the_largest_window_is_not_silly() -> None:
    peer = TcpPeer(PLAIN, options=[Mss(MSS)], window=600)
    assert payload(peer.script.write(peer.id, DATA)) == DATA[:600]
    assert payload(peer.flow.send(ACK, window=300)) == DATA[600:900]
    assert peer.flow.send(ACK, window=299) == []


@pytest.mark.rfc("9293", "3.7.4", "B9293-09")
def test_nagles_rule_holds_what_fills_no_segment_while_data_is_unacknowledged() -> None:
    peer = TcpPeer(replace(PLAIN, nodelay=False), options=[Mss(MSS)])
    assert payload(peer.script.write(peer.id, DATA[:10])) == DATA[:10]
    assert peer.script.write(peer.id, DATA[10:20]) == []
    assert payload(peer.script.write(peer.id, DATA[20 : MSS + 30])) == DATA[10 : MSS + 10]
    assert payload(peer.flow.send(ACK)) == DATA[MSS + 10 : MSS + 30]
    peer.flow.send(ACK)
    assert payload(peer.script.write(peer.id, DATA[: MSS + 5])) == DATA[: MSS + 5]
    assert peer.script.write(peer.id, DATA[:7]) == []
    assert payload(peer.script.close(peer.id)) == DATA[:7]


@pytest.mark.rfc("9293", "3.7.4", "B9293-09")
def test_nagles_rule_can_be_switched_off() -> None:
    peer = TcpPeer(PLAIN, options=[Mss(MSS)])
    for at in range(3):
        assert payload(peer.script.write(peer.id, DATA[at : at + 1])) == DATA[at : at + 1]


def test_a_window_that_shrinks_stops_what_is_not_sent() -> None:
    peer = peer_with()
    peer.flow.send(ACK, window=5 * MSS)
    peer.script.write(peer.id, DATA)
    assert payload(peer.flow.send(ACK, ack=1 + 2 * MSS, window=2 * MSS)) == b""
    assert payload(peer.flow.send(ACK, window=2 * MSS)) == DATA[5 * MSS : 7 * MSS]


@pytest.mark.rfc("9293", "3.10.7.4", "B9293-07")
def test_a_window_from_an_older_segment_is_not_used() -> None:
    peer = peer_with()
    peer.flow.send(ACK, b"new", window=4 * MSS)
    peer.flow.send(ACK, b"", seq=1, window=9 * MSS)
    assert payload(peer.script.write(peer.id, DATA)) == DATA[: 4 * MSS]


@pytest.mark.rfc("9293", "3.8.6.1", "B9293-08")
def test_a_closed_window_is_probed_until_it_opens() -> None:
    peer = peer_with()
    peer.flow.send(ACK, window=0)
    assert peer.script.write(peer.id, DATA[:MSS]) == []
    probes = peer.script.wait(2 * SECOND)
    assert probes
    assert {(one.length, peer.flow.position(one)) for one in probes} == {(0, 0)}
    assert payload(peer.flow.send(ACK, window=65535)) == DATA[:MSS]


@pytest.mark.rfc("9293", "3.8.6.1", "B9293-08")
def test_a_peer_that_answers_probes_is_probed_for_ever() -> None:
    peer = peer_with()
    peer.flow.send(ACK, window=0)
    peer.script.write(peer.id, DATA[:MSS])
    gaps = []
    for _ in range(40):
        start = peer.script.now
        while not peer.script.wait(SECOND):
            pass
        gaps.append(peer.script.now - start)
        peer.flow.send(ACK, window=0)
    assert gaps[1] >= gaps[0]
    assert gaps[-1] == pytest.approx(120 * SECOND, abs=SECOND)
    assert peer.script.endings() == []


def test_a_dead_peer_with_a_closed_window_is_given_up() -> None:
    peer = peer_with()
    peer.flow.send(ACK, window=0)
    peer.script.write(peer.id, DATA[:MSS])
    peer.script.wait(3600 * SECOND)
    assert peer.script.endings() == [LossReason.TIMED_OUT]


# ---- loss


@pytest.mark.rfc("5681", "3.2", "B5681-02")
@pytest.mark.rfc("6675", "5", "B6675-01")
@pytest.mark.parametrize("sack", [True, False])
def test_three_signs_of_loss_bring_the_segment_back(sack: bool) -> None:
    peer = peer_with(sack=sack)
    peer.script.write(peer.id, DATA[: 10 * MSS])
    sent: list[Segment] = []
    for count in (1, 2, 3):
        blocks = [(1 + MSS, 1 + MSS + count * MSS)] if sack else []
        assert 1 not in starts(peer, sent)
        sent += peer.flow.send(ACK, ack=1, sack=blocks)
    assert starts(peer, sent).count(1) == 1
    again = next(segment for segment in sent if peer.flow.position(segment) == 1)
    assert payload([again]) == DATA[:MSS]


@pytest.mark.rfc("5681", "2", "B5681-02")
@pytest.mark.parametrize("other", ["data", "window", "fin"])
def test_what_is_no_duplicate_ack_brings_nothing_back(other: str) -> None:
    peer = peer_with(sack=False)
    peer.script.write(peer.id, DATA[: 10 * MSS])
    sent: list[Segment] = []
    for count in range(5):
        if other == "data":
            sent += peer.flow.send(ACK, b"x", ack=1)
        elif other == "window":
            sent += peer.flow.send(ACK, ack=1, window=20000 + count)
        else:
            sent += peer.flow.send(ACK | FIN, ack=1, seq=peer.flow.nxt if not count else 1)
    assert 1 not in starts(peer, sent)


@pytest.mark.rfc("6582", "3.2", "B6582-01")
def test_without_sack_a_partial_ack_brings_the_next_one_back() -> None:
    peer = peer_with(sack=False)
    peer.script.write(peer.id, DATA[: 10 * MSS])
    for _ in range(5):
        peer.flow.send(ACK, ack=1)
    sent = peer.flow.send(ACK, ack=1 + 4 * MSS)
    assert 1 + 4 * MSS in starts(peer, sent)


@pytest.mark.rfc("6675", "5", "B6675-02")
def test_two_losses_in_a_window_reduce_it_once() -> None:
    peer = peer_with()
    peer.script.write(peer.id, DATA[: 10 * MSS])
    controller = peer.script.connection(peer.id).subflows[0].tcp.sender.controller
    peer.flow.send(ACK, ack=1, sack=[(1 + MSS, 1 + 4 * MSS)])
    reduced = controller.ssthresh
    assert reduced == 7 * MSS
    peer.flow.send(ACK, ack=1, sack=[(1 + 5 * MSS, 1 + 9 * MSS), (1 + MSS, 1 + 4 * MSS)])
    assert controller.ssthresh == reduced


@pytest.mark.rfc("6298", "5", "B6298-02")
def test_silence_brings_back_one_segment_at_doubling_intervals() -> None:
    peer = peer_with(sack=False)
    peer.script.write(peer.id, DATA[: 10 * MSS])
    sender = peer.script.connection(peer.id).subflows[0].tcp.sender
    rto = sender.rtt.rto
    sent = peer.script.wait(rto)
    assert starts(peer, sent) == [1]
    assert sender.controller.cwnd == MSS
    assert peer.script.wait(2 * rto - 1) == []
    assert starts(peer, peer.script.wait(1)) == [1]
    assert peer.script.wait(4 * rto - 1) == []
    assert starts(peer, peer.script.wait(1)) == [1]


@pytest.mark.rfc("6298", "5.3", "B6298-02")
def test_progress_restarts_the_timer() -> None:
    peer = peer_with()
    peer.script.write(peer.id, DATA[: 4 * MSS])
    rto = peer.script.connection(peer.id).subflows[0].tcp.sender.rtt.rto
    peer.script.wait(rto // 2)
    peer.flow.send(ACK, ack=1 + MSS)
    assert starts(peer, peer.script.wait(rto * 3 // 4)) == []


def test_after_a_time_out_acks_clock_out_the_rest() -> None:
    peer = peer_with()
    peer.script.write(peer.id, DATA[: 10 * MSS])
    sent = peer.script.wait(SECOND)
    reached = 1
    for _ in range(20):
        if not sent:
            break
        reached = max(reached, *(start + MSS for start in starts(peer, sent)))
        sent = peer.flow.send(ACK, ack=reached)
    assert reached == 1 + 10 * MSS


@pytest.mark.rfc("9293", "3.8.3", "B9293-11")
def test_a_peer_that_never_answers_is_given_up() -> None:
    peer = peer_with()
    peer.script.write(peer.id, DATA)
    peer.script.wait(100 * SECOND)
    assert peer.script.endings() == []
    peer.script.wait(3600 * SECOND)
    assert peer.script.endings() == [LossReason.TIMED_OUT]
    assert not peer.script.host._connections.by_flow


@pytest.mark.rfc("6298", "3", "B6298-02")
def test_the_ack_of_a_repeated_segment_is_no_sample() -> None:
    peer = peer_with()
    peer.script.wait(100 * MILLISECOND)
    peer.script.write(peer.id, DATA[:MSS])
    rtt = peer.script.connection(peer.id).subflows[0].tcp.sender.rtt
    before = rtt.srtt
    peer.script.wait(SECOND)
    peer.flow.send(ACK)
    assert rtt.srtt == before


# ---- receiving


def test_any_order_and_any_overlap_give_the_stream_once() -> None:
    peer = peer_with()
    for start, stop in [(10, 20), (0, 5), (3, 12), (18, 40), (39, 41), (0, 41)]:
        peer.flow.send(ACK, DATA[start:stop], seq=1 + start)
    assert peer.script.read(peer.id) == DATA[:41]


@pytest.mark.rfc("2018", "3", "B2018-01")
def test_gaps_are_told_by_sack() -> None:
    peer = peer_with()
    (answer,) = peer.flow.send(ACK, DATA[10:20], seq=11)
    assert peer.flow.acked(answer) == 1
    assert [(left - right) for left, right in answer.sack] == [-10]
    assert (answer.sack[0][0] - answer.ack) == 10


@pytest.mark.rfc("9293", "3.8.6.3", "B9293-10")
def test_a_lone_segment_is_acknowledged_within_the_delay() -> None:
    peer = peer_with()
    for _ in range(QUICK_ACKS):
        assert len(peer.flow.send(ACK, b"x")) == 1
    assert peer.flow.send(ACK, b"x") == []
    (ack,) = peer.script.wait(40 * MILLISECOND)
    assert peer.flow.acked(ack) == 2 + QUICK_ACKS


@pytest.mark.rfc("7323", "5.3", "B7323-04")
def test_an_old_timestamp_is_dropped_and_acknowledged() -> None:
    options = [Mss(MSS)]
    peer = TcpPeer(replace(PLAIN, timestamps=True), options=options, ts_val=1000)
    peer.flow.send(ACK, b"new", ts_val=1001)
    (answer,) = peer.flow.send(ACK, b"old", ts_val=999)
    assert peer.flow.acked(answer) == 4
    assert peer.script.read(peer.id) == b"new"


@pytest.mark.rfc("7323", "4.3", "B7323-03")
def test_the_echo_is_the_timestamp_of_the_segment_acknowledged() -> None:
    peer = TcpPeer(replace(PLAIN, timestamps=True), options=[Mss(MSS)], ts_val=1000)
    peer.flow.send(ACK, b"b", seq=2, ts_val=1005)
    (answer,) = peer.flow.send(ACK, b"a", seq=1, ts_val=1007)
    assert answer.ts_ecr == 1007


def test_urgent_data_stays_in_the_stream() -> None:
    peer = peer_with()
    peer.flow.send(ACK | URG, b"urgent")
    assert peer.script.read(peer.id) == b"urgent"


@pytest.mark.rfc("9293", "3.8.6", "B9293-07")
def test_the_window_closes_as_data_waits_and_opens_as_it_is_read() -> None:
    settings = replace(PLAIN, receive_buffer=4 * MSS)
    peer = TcpPeer(settings, options=[Mss(MSS)])
    for at in range(4):
        (answer,) = peer.flow.send(ACK, DATA[at * MSS : (at + 1) * MSS])
        assert answer.window == (3 - at) * MSS
    (answer,) = peer.flow.send(ACK, b"x")
    assert (answer.window, peer.flow.acked(answer)) == (0, 1 + 4 * MSS)
    assert peer.script.read(peer.id) == DATA[: 4 * MSS]
    (update,) = peer.script.turn()
    assert update.window == 4 * MSS


@pytest.mark.rfc("9293", "3.8.6.2.2", "B9293-09")
def test_the_window_opens_in_steps_worth_the_while() -> None:
    settings = replace(PLAIN, receive_buffer=4 * MSS)
    peer = TcpPeer(settings, options=[Mss(MSS)])
    for at in range(4):
        peer.flow.send(ACK, DATA[at * MSS : (at + 1) * MSS])
    windows = set()
    for _ in range(20):
        peer.script.host.read(0, peer.id, 100)
        windows |= {segment.window for segment in peer.script.turn()}
        windows |= {segment.window for segment in peer.flow.send(ACK, b"", seq=1)}
        peer.script.wait(3 * PLAIN.challenge_gap // 2)
    assert windows == {0, 1500}
