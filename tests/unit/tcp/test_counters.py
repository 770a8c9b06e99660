"""What a host counts under the names of Linux's MIBs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.script import PEER, PLAIN, PORT, Script, TcpPeer

from plait.units import MILLISECOND, SECOND
from plait.wire.segment import ACK, RST, SYN
from plait.wire.tcp_options import Mss, SackPermitted

MSS = 1000


def sending(segments: int = 10, *, sack: bool = True) -> TcpPeer:
    """Return a peer that has that many segments under way to it."""
    options = [Mss(MSS), SackPermitted()] if sack else [Mss(MSS)]
    peer = TcpPeer(PLAIN, options=options, rtt=20 * MILLISECOND)
    peer.script.write(peer.id, bytes(segments * MSS))
    peer.script.now += 20 * MILLISECOND
    return peer


def keep_alive() -> Script:
    peer = TcpPeer(replace(PLAIN, keepalive=True, keepalive_idle=SECOND))
    peer.script.wait(SECOND)
    return peer.script


def lost_syn() -> Script:
    script = Script(PLAIN)
    script.host.connect(0, PEER, PORT)
    script.turn()
    script.wait(2 * SECOND)
    return script


def refused() -> Script:
    script = Script(PLAIN)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    script.flows[syn.flow].send(RST | ACK)
    return script


def silence(span: int) -> Script:
    peer = sending()
    peer.script.wait(span)
    return peer.script


def fast_retransmit(*, sack: bool) -> Script:
    peer = sending(sack=sack)
    for stop in (2, 3, 4, 5):
        blocks = [(1 + MSS, 1 + stop * MSS)] if sack else []
        peer.flow.send(ACK, ack=1, sack=blocks)
    return peer.script


def closed_window() -> Script:
    peer = sending(1)
    peer.flow.send(ACK, window=0)
    peer.script.write(peer.id, b"waits")
    peer.script.wait(300 * MILLISECOND)
    return peer.script


def arriving(seq: int, payload: bytes = b"data") -> Script:
    peer = TcpPeer(PLAIN, options=[SackPermitted()])
    peer.flow.send(ACK, b"first data")
    peer.flow.send(ACK, payload, seq=seq)
    return peer.script


def stray_syn() -> Script:
    peer = TcpPeer(PLAIN)
    peer.flow.send(SYN, seq=5)
    return peer.script


def reset() -> Script:
    peer = TcpPeer(PLAIN)
    peer.flow.send(RST)
    return peer.script


def old_timestamp() -> Script:
    peer = TcpPeer(replace(PLAIN, timestamps=True), ts_val=1000)
    peer.flow.send(ACK, b"old", ts_val=900)
    return peer.script


CASES: dict[str, tuple[Callable[[], Script], dict[str, int]]] = {
    "keep-alive": (keep_alive, {"TCPKeepAlive": 1}),
    "SYN sent again": (lost_syn, {"TCPSynRetrans": 1, "RetransSegs": 1}),
    "refused": (refused, {"AttemptFails": 1, "EstabResets": 0}),
    "probe": (lambda: silence(100 * MILLISECOND), {"TCPLossProbes": 1, "TCPTimeouts": 0}),
    "time-out": (lambda: silence(500 * MILLISECOND), {"TCPTimeouts": 1}),
    "SACK recovery": (
        lambda: fast_retransmit(sack=True),
        {"TCPSackRecovery": 1, "TCPRenoRecovery": 0, "TCPFastRetrans": 1, "RetransSegs": 1},
    ),
    "NewReno recovery": (
        lambda: fast_retransmit(sack=False),
        {"TCPSackRecovery": 0, "TCPRenoRecovery": 1, "TCPFastRetrans": 1},
    ),
    "window probe": (closed_window, {"TCPWinProbe": 1}),
    "old data": (lambda: arriving(1), {"TCPDSACKOldSent": 1, "TCPOFOQueue": 0}),
    "data out of order": (lambda: arriving(50), {"TCPDSACKOldSent": 0, "TCPOFOQueue": 1}),
    "SYN on a connection": (stray_syn, {"TCPSYNChallenge": 1, "TCPChallengeACK": 1}),
    "reset": (reset, {"EstabResets": 1, "AttemptFails": 0}),
    "PAWS": (old_timestamp, {"PAWSEstab": 1}),
}


@pytest.mark.parametrize(("scene", "wanted"), CASES.values(), ids=CASES.keys())
def test_what_is_counted(scene: Callable[[], Script], wanted: dict[str, int]) -> None:
    counted = scene().host.counters.snapshot()
    assert {name: counted[name] for name in wanted} == wanted
