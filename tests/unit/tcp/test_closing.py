"""Closing: FINs in every order, TIME-WAIT, and RSTs (RFC 9293, 3.6; RFC 5961)."""

from __future__ import annotations

import pytest
from support.script import PLAIN, TcpPeer, payload, resets

from plait.host.events import LossReason
from plait.tcp.state import State
from plait.units import SECOND
from plait.wire.segment import ACK, FIN, RST, SYN


def in_time_wait(peer: TcpPeer) -> bool:
    return peer.flow.path.flow_out() in peer.script.host._time_wait


def state(peer: TcpPeer) -> State:
    if in_time_wait(peer):
        return State.TIME_WAIT
    return peer.script.connection(peer.id).subflows[0].tcp.state


@pytest.mark.rfc("9293", "3.6", "B9293-02")
def test_we_close_first() -> None:
    peer = TcpPeer()
    (fin,) = peer.script.close(peer.id)
    assert fin.flags == FIN | ACK
    assert state(peer) is State.FIN_WAIT_1
    peer.flow.send(ACK)
    assert state(peer) is State.FIN_WAIT_2
    (last,) = peer.flow.send(FIN | ACK)
    assert (last.flags, peer.flow.acked(last)) == (ACK, 2)
    assert state(peer) is State.TIME_WAIT
    assert peer.script.read(peer.id) == b""
    assert not peer.script.host._connections.by_flow
    peer.script.wait(59 * SECOND)
    assert in_time_wait(peer)
    peer.script.wait(SECOND)
    assert not in_time_wait(peer)


@pytest.mark.rfc("9293", "3.6", "B9293-02")
def test_the_peer_closes_first_and_we_go_on_sending() -> None:
    peer = TcpPeer()
    (ack,) = peer.flow.send(FIN | ACK)
    assert peer.flow.acked(ack) == 2
    assert peer.script.read(peer.id) == b""
    assert payload(peer.script.write(peer.id, b"still here")) == b"still here"
    peer.flow.send(ACK)
    (fin,) = peer.script.close(peer.id)
    assert fin.flags == FIN | ACK
    peer.flow.send(ACK)
    assert peer.script.endings() == [None]
    assert not peer.script.host._connections.by_flow


@pytest.mark.rfc("9293", "3.6", "B9293-02")
def test_fins_cross() -> None:
    peer = TcpPeer()
    peer.script.close(peer.id)
    peer.flow.send(FIN | ACK, ack=1)
    assert state(peer) is State.CLOSING
    peer.flow.send(ACK)
    assert state(peer) is State.TIME_WAIT
    assert peer.script.read(peer.id) == b""
    assert peer.script.endings() == [None]


def test_data_arrives_after_our_fin() -> None:
    peer = TcpPeer()
    peer.script.close(peer.id)
    peer.flow.send(ACK, b"more")
    peer.flow.send(FIN | ACK, b" and the end")
    assert peer.script.read(peer.id) == b"more and the end"


def test_a_fin_waits_for_the_data_before_it() -> None:
    peer = TcpPeer()
    peer.flow.send(FIN | ACK, b"world", seq=6)
    assert state(peer) is State.ESTABLISHED
    (ack,) = peer.flow.send(ACK, b"hello")
    assert peer.flow.acked(ack) == 12
    assert peer.script.read(peer.id) == b"helloworld"


def test_our_fin_leaves_with_the_last_data() -> None:
    peer = TcpPeer()
    peer.script.host.write(0, peer.id, b"bye")
    sent = peer.script.close(peer.id)
    assert payload(sent) == b"bye"
    assert sent[-1].flags & FIN


@pytest.mark.rfc("6298", "5.4", "B6298-02")
def test_a_lost_fin_is_repeated() -> None:
    peer = TcpPeer()
    (fin,) = peer.script.close(peer.id)
    again = peer.script.wait(2 * SECOND)
    assert again
    assert {(one.flags, one.seq) for one in again} == {(FIN | ACK, fin.seq)}


@pytest.mark.rfc("9293", "3.6.1", "B9293-13")
def test_a_repeated_fin_restarts_time_wait() -> None:
    peer = TcpPeer()
    peer.script.close(peer.id)
    peer.flow.send(FIN | ACK)
    peer.script.wait(40 * SECOND)
    (ack,) = peer.flow.send(FIN | ACK, seq=1)
    assert ack.flags == ACK
    peer.script.wait(40 * SECOND)
    assert in_time_wait(peer)
    peer.script.wait(20 * SECOND)
    assert not in_time_wait(peer)


RESETS = {
    "exact": (1, True),
    "in the window": (2, False),
    "at the last octet": (65535, False),
    "before": (0, False),
    "beyond": (70000, False),
}


@pytest.mark.rfc("5961", "3.2", "B5961-01")
@pytest.mark.parametrize(("seq", "resets_it"), RESETS.values(), ids=RESETS.keys())
def test_only_an_exact_rst_resets(seq: int, resets_it: bool) -> None:
    peer = TcpPeer()
    answers = peer.flow.send(RST, seq=seq)
    assert peer.script.endings() == ([LossReason.RESET] if resets_it else [])
    challenged = not resets_it and 1 <= seq < 65536
    assert [one.flags for one in answers] == ([ACK] if challenged else [])


@pytest.mark.rfc("5961", "4.2", "B5961-02")
@pytest.mark.parametrize("seq", [0, 1, 5000])
def test_a_syn_on_an_open_connection_is_challenged(seq: int) -> None:
    peer = TcpPeer()
    (answer,) = peer.flow.send(SYN, seq=seq)
    assert (answer.flags, peer.flow.acked(answer)) == (ACK, 1)
    assert state(peer) is State.ESTABLISHED


@pytest.mark.rfc("5961", "5.2", "B5961-03")
@pytest.mark.parametrize("ack", [2, 1 << 20, (1 << 32) - 70000])
def test_an_ack_outside_the_window_is_dropped_and_challenged(ack: int) -> None:
    peer = TcpPeer()
    (answer,) = peer.flow.send(ACK, b"injected", ack=ack)
    assert (answer.flags, peer.flow.acked(answer)) == (ACK, 1)
    assert peer.script.read(peer.id) is None


@pytest.mark.rfc("5961", "7", "B5961-03")
def test_challenges_are_rationed() -> None:
    peer = TcpPeer()
    answers = [peer.flow.send(RST, seq=9) for _ in range(10)]
    assert sum(map(len, answers)) == 1
    peer.script.wait(3 * PLAIN.challenge_gap // 2)
    assert len(peer.flow.send(RST, seq=9)) == 1


def test_an_abort_is_a_rst_with_the_next_sequence_number() -> None:
    peer = TcpPeer()
    peer.script.write(peer.id, b"unfinished")
    peer.script.host.abort(0, peer.id)
    (reset,) = resets(peer.script.turn())
    assert peer.flow.position(reset) == 11
    assert peer.script.endings() == [LossReason.ABORTED]
    assert not peer.script.host._connections.by_flow


def test_a_rst_after_both_fins_harms_nothing() -> None:
    peer = TcpPeer()
    peer.flow.send(FIN | ACK)
    assert peer.script.read(peer.id) == b""
    peer.script.close(peer.id)
    peer.flow.send(ACK)
    peer.flow.send(RST)
    assert peer.script.endings() == [None]


@pytest.mark.rfc("1337", "3", "B9293-13")
def test_a_rst_does_not_end_time_wait() -> None:
    peer = TcpPeer()
    peer.script.close(peer.id)
    peer.flow.send(FIN | ACK)
    peer.script.read(peer.id)
    assert peer.flow.send(RST) == []
    assert peer.script.endings() == [None]
    assert in_time_wait(peer)


def test_half_closed_by_us_it_stays_as_long_as_the_peer_wants() -> None:
    peer = TcpPeer(PLAIN)
    peer.script.close(peer.id)
    peer.flow.send(ACK)
    peer.script.wait(3600 * SECOND)
    peer.flow.send(ACK, b"finally")
    assert peer.script.read(peer.id) == b"finally"
