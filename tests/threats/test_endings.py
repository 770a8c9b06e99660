"""Ending somebody else's connection or path: MP_FASTCLOSE with a wrong key, RST on one path."""

from __future__ import annotations

import pytest
from support.attack import state, unharmed
from support.script import KEY, PEER_2, MpPeer, resets

from plait.host.events import LossReason
from plait.units import SECOND
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.mptcp.mp_tcprst import MpTcprst
from plait.wire.segment import ACK, FIN, RST


@pytest.mark.rfc("8684", "5", "M8684-5-01")
@pytest.mark.rfc("8684", "5", "M8684-5-02")
@pytest.mark.parametrize("key", ["right", "the peer's own", "none"])
def test_who_sees_one_path_cannot_close_the_connection_without_our_key(key: str) -> None:
    peer = MpPeer()
    second = peer.join(PEER_2)
    chosen = {"right": peer.keys.remote, "the peer's own": KEY, "none": bytes(8)}[key]
    before = state(peer)
    answers = second.send(options=[MpFastclose(chosen)])
    assert peer.script.host.counters.mp_fastclose_rx == (key == "right")
    if key == "right":
        assert peer.script.endings() == [LossReason.RESET]
        assert len(resets(answers)) == 2
    else:
        assert state(peer) == before
        assert answers == []
        assert unharmed(peer)


@pytest.mark.rfc("8684", "5", "M8684-5-01")
@pytest.mark.parametrize("key", [None, KEY, "right"])
def test_a_rst_on_one_path_ends_that_path_alone(key: bytes | str | None) -> None:
    """An attacker on the path can do that much, and the application hears of it."""
    peer = MpPeer()
    second = peer.join(PEER_2)
    peer.data(b"first, ", flow=second)
    chosen = peer.keys.remote if key == "right" else key
    options = [MpTcprst(4, transient=True)]
    second.send(
        RST | ACK, options=[*options, MpFastclose(chosen)] if isinstance(chosen, bytes) else options
    )
    counters = peer.script.host.counters
    assert counters.mp_rst_rx == counters.estab_resets == 1
    if key == "right":
        assert peer.script.endings() == [LossReason.RESET]
    else:
        assert not peer.connection.subflows[1].alive
        peer.data(b"second")
        assert peer.script.read(peer.id) == b"first, second"
        assert peer.script.endings() == []


@pytest.mark.rfc("8684", "5", "M8684-5-01")
@pytest.mark.parametrize("other_path", [True, False])
def test_cutting_the_only_path_leaves_the_peer_time_to_come_back(other_path: bool) -> None:
    peer = MpPeer()
    peer.data(b"before, ")
    peer.first.send(RST | ACK)
    assert peer.script.endings() == []
    peer.script.wait(20 * SECOND)
    if other_path:
        flow = peer.join(PEER_2)
        peer.data(b"after", flow=flow)
        assert peer.script.read(peer.id) == b"before, after"
    else:
        peer.script.wait(20 * SECOND)
        assert peer.script.endings() == [LossReason.TIMED_OUT]


@pytest.mark.rfc("8684", "5", "M8684-5-01")
def test_a_forged_fin_ends_a_path_and_not_the_stream() -> None:
    peer = MpPeer()
    second = peer.join(PEER_2)
    second.send(ACK | FIN, dss=peer.ack())
    assert peer.script.read(peer.id) is None
    assert peer.connection.receiver.fin_at < 0
    assert unharmed(peer)
