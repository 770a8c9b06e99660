"""Connections that their application released end in bounded time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.script import PLAIN, UNCHECKED, MpPeer, TcpPeer

from plait.units import SECOND
from plait.wire.segment import FIN, RST

TIMEOUT = 7 * SECOND
DATA = bytes(3000)

Peer = TcpPeer | MpPeer


def plain() -> TcpPeer:
    return TcpPeer(replace(PLAIN, orphan_timeout=TIMEOUT))


def multipath() -> MpPeer:
    return MpPeer(replace(UNCHECKED, orphan_timeout=TIMEOUT))


BOTH = pytest.mark.parametrize("make", [plain, multipath])


def resets(peer: Peer) -> bool:
    flow = peer.flow if isinstance(peer, TcpPeer) else peer.first
    return any(segment.flags & RST for segment in flow.sent)


@BOTH
@pytest.mark.parametrize("released", [True, False])
def test_what_nobody_takes_is_given_up_once_nobody_holds_it(
    make: Callable[[], Peer], released: bool
) -> None:
    peer = make()
    script = peer.script
    script.write(peer.id, DATA)
    (script.host.release if released else script.host.close)(script.now, peer.id)
    script.wait(TIMEOUT - SECOND)
    assert not resets(peer)
    assert script.endings() == []
    script.wait(2 * SECOND)
    assert resets(peer) == released
    assert len(script.endings()) == released


def test_acknowledgments_keep_it_alive() -> None:
    peer = plain()
    script = peer.script
    script.write(peer.id, DATA)
    script.host.release(script.now, peer.id)
    for acked in (500, 1000, 1500):
        script.wait(TIMEOUT - SECOND)
        peer.flow.send(ack=1 + acked)
    assert not resets(peer)
    script.wait(2 * TIMEOUT)
    assert resets(peer)


def test_a_peer_that_never_ends_is_not_waited_for() -> None:
    peer = plain()
    script = peer.script
    script.host.release(script.now, peer.id)
    fin = script.turn()[-1]
    assert fin.flags & FIN
    peer.flow.send()
    script.wait(TIMEOUT + SECOND)  # its ACK was the last news
    assert not resets(peer)
    script.wait(TIMEOUT)
    assert resets(peer)


def test_time_wait_is_no_orphan() -> None:
    peer = plain()
    script = peer.script
    script.host.release(script.now, peer.id)
    script.turn()
    peer.flow.send(FIN | 0x10)
    script.wait(3 * TIMEOUT)
    assert not resets(peer)
    assert script.endings() == [None]
