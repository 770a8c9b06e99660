"""Proportional Rate Reduction against the arithmetic of RFC 9937."""

from __future__ import annotations

import pytest
from support.script import PLAIN, TcpPeer

from plait.tcp.prr import Prr
from plait.tcp.sender import Sender
from plait.units import MILLISECOND
from plait.wire.segment import ACK
from plait.wire.tcp_options import Mss, SackPermitted

MSS = 1000


def started(flight: int) -> Prr:
    prr = Prr()
    prr.start(flight)
    return prr


@pytest.mark.rfc("9937", "6")
def test_half_the_window_lets_go_one_segment_for_two_delivered() -> None:
    prr = started(20 * MSS)
    in_flight = 19 * MSS
    sent = 0
    for _ in range(10):
        count = prr.on_ack(MSS, in_flight - MSS, 10 * MSS, MSS, safe=True) // MSS * MSS
        prr.on_sent(count)
        sent += count
        in_flight += count - MSS
    assert sent == 5 * MSS


@pytest.mark.rfc("9937", "6")
@pytest.mark.parametrize(("safe", "count"), [(False, 2 * MSS), (True, 3 * MSS)])
def test_below_ssthresh_it_grows_back_faster_when_that_is_safe(safe: bool, count: int) -> None:
    prr = started(20 * MSS)
    assert prr.on_ack(2 * MSS, 4 * MSS, 10 * MSS, MSS, safe=safe) == count


def test_below_ssthresh_it_goes_no_further_than_that() -> None:
    prr = started(20 * MSS)
    assert prr.on_ack(9 * MSS, 9 * MSS, 10 * MSS, MSS, safe=True) == MSS


def test_the_first_retransmission_always_goes() -> None:
    prr = started(20 * MSS)
    assert prr.on_ack(0, 20 * MSS, 10 * MSS, MSS, safe=False) == MSS
    prr.on_sent(MSS)
    assert prr.on_ack(0, 20 * MSS, 10 * MSS, MSS, safe=False) == 0


TRACE = (
    (16000, 556, 1000), (16000, 112, 0), (15000, 667, 0), (14000, 1223, 1000), (14000, 778, 0),
    (13000, 1334, 1000), (13000, 889, 0), (12000, 1445, 1000), (12000, 1000, 1000),
    (12000, 556, 0), (11000, 1112, 1000), (11000, 667, 0), (10000, 0, 0), (9000, 1000, 1000),
    (9000, 1000, 1000), (9000, 1000, 1000),
)  # fmt: skip
"""Octets in flight, SndCnt and what is sent; ACK by ACK, 20 segments, the first one lost."""


@pytest.mark.rfc("9937", "6", "B9937-02")
def test_a_whole_recovery_ack_by_ack() -> None:
    prr = started(18 * MSS)
    for in_flight, count, sent in TRACE:
        assert prr.on_ack(MSS, in_flight, 10 * MSS, MSS, safe=False) == count
        prr.on_sent(sent)


def in_recovery() -> tuple[TcpPeer, Sender]:
    """Return a peer that has told of the loss of the first of ten segments."""
    peer = TcpPeer(PLAIN, options=[Mss(MSS), SackPermitted()], rtt=20 * MILLISECOND)
    peer.script.write(peer.id, bytes(60 * MSS))
    peer.script.now += 20 * MILLISECOND
    peer.flow.send(ACK, ack=1, sack=[(1 + MSS, 1 + 4 * MSS)])
    sender = peer.script.connection(peer.id).subflows[0].tcp.sender
    assert sender.recovery.reducing
    return peer, sender


@pytest.mark.rfc("9937", "6", "B9937-01")
def test_recovery_begins_with_what_was_in_flight_before_its_ack() -> None:
    _, sender = in_recovery()
    prr = sender.recovery._prr
    assert prr.recover_fs == 10 * MSS  # nothing SACKed before; the ACK's own three count as well
    assert prr.prr_delivered == 3 * MSS
    assert sender.controller.ssthresh == 7 * MSS  # what CUBIC says


@pytest.mark.rfc("9937", "6", "B9937-03")
def test_recovery_ends_with_the_window_of_the_controller() -> None:
    peer, sender = in_recovery()
    while sender.recovery.reducing:
        pipe = sender.in_flight()
        assert sender.controller.cwnd >= pipe
        peer.script.now += MILLISECOND
        peer.flow.send(ACK, ack=min(sender.snd_una + 2 * MSS, sender.snd_nxt))
    grown = sender.controller.cwnd - sender.controller.ssthresh  # by the last ACK, as any other
    assert sender.controller.ssthresh == 7 * MSS
    assert 0 <= grown < MSS
