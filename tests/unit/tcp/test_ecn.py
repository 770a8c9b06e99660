"""Explicit Congestion Notification: agreement, marks, echoes, reductions (RFC 3168)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import PEER, PLAIN, PORT, Script, TcpPeer
from support.world import World

from plait.errors import UnknownNameError
from plait.host.settings import Settings
from plait.tcp.connection import TcpConnection
from plait.tcp.ecn import CE, ECT_0
from plait.units import SECOND, Nanos
from plait.wire.segment import ACK, CWR, ECE, SYN, Segment
from plait.wire.tcp_options import Mss, SackPermitted

MSS = 1000
ACTIVE = replace(PLAIN, ecn="active")
DATA = bytes(20 * MSS)


def agreed(settings: Settings = ACTIVE) -> TcpPeer:
    """Return a peer that took our offer."""
    peer = TcpPeer.__new__(TcpPeer)
    peer.script = Script(settings)
    peer.script.host.connect(0, PEER, PORT)
    (syn,) = peer.script.turn()
    peer.flow = peer.script.flows[syn.flow]
    peer.flow.send(SYN | ACK | ECE, options=[Mss(MSS), SackPermitted()])
    peer.id = 1
    return peer


def tcp(peer: TcpPeer) -> TcpConnection:
    return peer.script.connection(peer.id).subflows[0].tcp


# ---- agreement


@pytest.mark.rfc("3168", "6.1.1", "B3168-01")
@pytest.mark.parametrize(
    ("mode", "flags"), [("no", SYN), ("passive", SYN), ("active", SYN | ECE | CWR)]
)
def test_what_our_syn_offers(mode: str, flags: int) -> None:
    script = Script(replace(PLAIN, ecn=mode))
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    assert syn.flags == flags
    assert syn.ecn == 0


@pytest.mark.rfc("3168", "6.1.1", "B3168-01")
@pytest.mark.parametrize("mode", ["no", "passive", "active"])
@pytest.mark.parametrize("asked", [0, ECE, CWR, ECE | CWR])
def test_what_our_syn_ack_answers(mode: str, asked: int) -> None:
    script = Script(replace(PLAIN, ecn=mode))
    script.host.listen(0, PORT)
    (answer,) = script.flow().send(SYN | asked)
    wanted = mode != "no" and asked == ECE | CWR
    assert answer.flags == SYN | ACK | (ECE if wanted else 0)


@pytest.mark.rfc("3168", "6.1.1", "B3168-01")
@pytest.mark.parametrize("answer", [0, ECE, CWR, ECE | CWR])
def test_only_ece_alone_accepts_our_offer(answer: int) -> None:
    script = Script(ACTIVE)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    script.flows[syn.flow].send(SYN | ACK | answer)
    (segment,) = script.write(1, b"data")
    assert segment.ecn == (ECT_0 if answer == ECE else 0)


@pytest.mark.rfc("3168", "6.1.1.1")
def test_a_syn_that_was_lost_goes_without_the_offer() -> None:
    script = Script(ACTIVE)
    script.host.connect(0, PEER, PORT)
    script.turn()
    (again,) = script.wait(SECOND)
    assert again.flags == SYN


def test_a_mode_nobody_knows_is_the_callers_fault() -> None:
    with pytest.raises(UnknownNameError, match="choose from no, passive, active"):
        Settings(ecn="yes")


# ---- the sender


@pytest.mark.rfc("3168", "6.1.5", "B3168-01")
def test_only_new_data_is_capable() -> None:
    peer = agreed()
    assert [segment.ecn for segment in peer.script.write(1, DATA[: 2 * MSS])] == [ECT_0, ECT_0]
    again = peer.script.wait(3 * SECOND)
    assert again
    assert {segment.ecn for segment in again} == {0}
    (ack,) = peer.flow.send(ACK, b"data")
    assert (ack.length, ack.ecn) == (0, 0)


@pytest.mark.rfc("3168", "6.1.2", "B3168-02")
def test_an_echo_reduces_the_window_once_a_round_trip_and_is_confirmed() -> None:
    peer = agreed()
    peer.script.write(1, DATA)
    before = tcp(peer).sender.controller.cwnd
    peer.flow.send(ACK | ECE, ack=1 + 2 * MSS)
    reduced = tcp(peer).sender.controller.cwnd
    assert reduced < before + 2 * MSS
    sent = []
    for acked in (3, 4, 5, 9):
        sent += peer.flow.send(ACK | ECE, ack=1 + acked * MSS)
        assert reduced <= tcp(peer).sender.controller.cwnd < reduced + MSS
    assert [bool(segment.flags & CWR) for segment in sent] == [True] + [False] * (len(sent) - 1)
    assert tcp(peer).sender.scoreboard.lost.total == 0
    peer.flow.send(ACK | ECE)
    assert tcp(peer).sender.controller.cwnd < reduced


@pytest.mark.rfc("3168", "6.1.1", "B3168-01")
def test_without_agreement_an_echo_means_nothing() -> None:
    peer = TcpPeer(PLAIN, options=[Mss(MSS)])
    peer.script.write(peer.id, DATA)
    before = tcp(peer).sender.controller.cwnd
    peer.flow.send(ACK | ECE, ack=1 + 2 * MSS)
    assert tcp(peer).sender.controller.cwnd >= before


# ---- the receiver


def marked(peer: TcpPeer, flags: int = ACK, ecn: int = CE) -> list[Segment]:
    segment = peer.flow.segment(flags, b"data")
    segment.ecn = ecn
    return peer.script.receive([segment])


@pytest.mark.rfc("3168", "6.1.3", "B3168-02")
def test_a_mark_is_echoed_on_every_ack_until_it_is_confirmed() -> None:
    peer = agreed()
    assert not marked(peer, ecn=ECT_0)[0].flags & ECE
    assert marked(peer)[0].flags & ECE
    assert peer.flow.send(ACK, b"data")[0].flags & ECE
    (answer,) = peer.script.write(1, b"answer")
    assert answer.flags & ECE
    assert not marked(peer, ACK | CWR, ECT_0)[0].flags & ECE


@pytest.mark.rfc("3168", "6.1.3", "B3168-02")
def test_a_mark_on_the_confirming_segment_is_a_new_one() -> None:
    peer = agreed()
    marked(peer)
    assert marked(peer, ACK | CWR)[0].flags & ECE


def test_without_agreement_a_mark_means_nothing() -> None:
    peer = TcpPeer(PLAIN)
    assert not marked(peer)[0].flags & ECE


# ---- both


@pytest.mark.parametrize("mptcp", [False, True])
def test_marks_slow_a_sender_down_without_a_loss(mptcp: bool) -> None:
    settings = Settings(ecn="active", mptcp=mptcp, path_manager="default")
    world = World(settings, whole=False)
    line = world.initiator.line
    seen = iter(range(1 << 30))

    def mark(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        if segment.ecn == ECT_0 and next(seen) % 100 == 99:
            segment.ecn = CE
        return [(0, segment)]

    line.hook = mark
    world.transfer(bytes(1_000_000))
    sent = [segment for _, segment in line.sent if segment.length]
    assert sum(bool(segment.flags & CWR) for segment in sent) > 2
    assert len(sent) == len({(segment.flow, segment.seq) for segment in sent})
