"""The snapshot under the names of struct tcp_info."""

from __future__ import annotations

from dataclasses import replace

from support.script import PLAIN, TcpPeer

from plait.tcp.info import OPT_SACK, OPT_TIMESTAMPS, TcpInfo, tcp_info
from plait.units import MILLISECOND, SECOND
from plait.wire.segment import ACK
from plait.wire.tcp_options import Mss, SackPermitted

MSS = 1000
RTT = 20 * MILLISECOND


def peer_of(window: int = 65535) -> TcpPeer:
    return TcpPeer(PLAIN, options=[Mss(MSS), SackPermitted()], window=window, rtt=RTT)


def look(peer: TcpPeer) -> TcpInfo:
    return tcp_info(peer.script.connection(peer.id).subflows[0].tcp)


def test_a_fresh_connection() -> None:
    info = look(peer_of())
    assert (info.state, info.ca_state) == ("ESTABLISHED", "Open")
    assert (info.snd_mss, info.snd_cwnd, info.pmtu, info.advmss) == (MSS, 10, 1500, 1460)
    assert (info.unacked, info.bytes_sent, info.total_retrans) == (0, 0, 0)
    assert (info.options & OPT_SACK, info.options & OPT_TIMESTAMPS) == (OPT_SACK, 0)
    assert info.snd_wnd == 65535


def test_what_is_under_way_and_what_waits() -> None:
    peer = peer_of()
    peer.script.write(peer.id, bytes(15 * MSS))
    info = look(peer)
    assert (info.unacked, info.bytes_sent, info.bytes_acked) == (10, 10 * MSS, 0)
    peer.flow.send(ACK, ack=1 + 2 * MSS)
    assert look(peer).bytes_acked == 2 * MSS


def test_recovery_and_loss_show() -> None:
    peer = peer_of()
    peer.script.write(peer.id, bytes(10 * MSS))
    peer.script.now += RTT
    peer.flow.send(ACK, ack=1, sack=[(1 + MSS, 1 + 2 * MSS)])
    assert (look(peer).ca_state, look(peer).sacked) == ("Disorder", 1)
    peer.flow.send(ACK, ack=1, sack=[(1 + MSS, 1 + 5 * MSS)])
    info = look(peer)
    assert (info.ca_state, info.total_retrans, info.bytes_retrans) == ("Recovery", 1, MSS)
    peer.script.wait(5 * SECOND)
    info = look(peer)
    assert info.ca_state == "Loss"
    assert info.backoff > 0
    assert info.rto > 200 * MILLISECOND // 1000


def test_what_arrives_is_counted() -> None:
    peer = TcpPeer(replace(PLAIN, receive_buffer=5000))
    peer.flow.send(ACK, b"data")
    assert look(peer).bytes_received == 4
