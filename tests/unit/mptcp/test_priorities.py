"""MP_PRIO in both directions (RFC 8684, 3.3.8)."""

from __future__ import annotations

import pytest
from support.script import UNCHECKED, MpPeer, found, payload

from plait.addresses import Path
from plait.errors import UsageError
from plait.host.events import SubflowPriority
from plait.mptcp.priorities import TRIES
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.segment import ACK, RST


def path_of(peer: MpPeer, index: int) -> Path:
    return peer.connection.subflows[index].path


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-02")
@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-03")
def test_mp_prio_takes_its_subflow_out_and_brings_it_back() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    second.send(dss=peer.ack(), options=[MpPrio(backup=True)])
    assert payload(peer.script.write(2, bytes(200_000)))
    assert payload(second.sent) == b""
    second.send(dss=peer.ack(), options=[MpPrio(backup=False)])
    assert payload(second.sent)


def test_the_application_hears_of_each_change_once() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    for backup in (True, True, False):
        second.send(dss=peer.ack(), options=[MpPrio(backup)])
    path = path_of(peer, 1)
    assert peer.script.heard(SubflowPriority) == [
        SubflowPriority(2, path, backup=True),
        SubflowPriority(2, path, backup=False),
    ]
    assert peer.script.host.counters.mp_prio_rx == 3


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-05")
def test_ours_goes_on_its_own_subflow_and_binds_the_peer_only() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    peer.script.host.set_backup(0, 2, 2, backup=True)
    peer.script.write(2, bytes(200_000))
    (carrier,) = [one for one in second.sent if found([one], MpPrio)]
    assert carrier.flags == ACK
    assert payload(second.sent)


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-07")
def test_ours_is_repeated_as_nothing_tells_that_it_arrived() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    host = peer.script.host
    host.set_backup(0, 2, 2, backup=True)
    sent = peer.script.turn()
    assert found(sent, MpPrio) == [MpPrio(backup=True)]
    for _ in range(30):
        second.send(dss=peer.ack())
        sent += peer.script.wait(SECOND)
    assert found(sent, MpPrio) == [MpPrio(backup=True)] * TRIES
    assert host.counters.mp_prio_tx == TRIES


def test_what_is_asked_last_is_what_is_repeated() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    host = peer.script.host
    host.set_backup(0, 2, 2, backup=True)
    sent = peer.script.turn() + peer.script.wait(100 * MILLISECOND)
    second.send(dss=peer.ack())
    host.set_backup(peer.script.now, 2, 2, backup=False)
    sent += peer.script.turn()
    for _ in range(30):
        second.send(dss=peer.ack())
        sent += peer.script.wait(SECOND)
    assert found(sent, MpPrio) == [MpPrio(backup=True), *[MpPrio(backup=False)] * TRIES]


def test_repeating_ends_with_the_subflow() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    peer.script.host.set_backup(0, 2, 2, backup=True)
    peer.script.turn()
    second.send(RST)
    assert found(peer.script.wait(60 * SECOND), MpPrio) == []
    assert peer.connection.tasks == []


@pytest.mark.parametrize("subflow_id", [2, 3], ids=["ended", "unknown"])
def test_only_a_subflow_that_lives_can_be_spared(subflow_id: int) -> None:
    peer = MpPeer(UNCHECKED)
    peer.join().send(RST)
    with pytest.raises(UsageError, match=f"has no subflow {subflow_id}"):
        peer.script.host.set_backup(0, 2, subflow_id, backup=True)


def test_a_subflow_that_opens_cannot_be_spared_yet() -> None:
    peer = MpPeer(UNCHECKED)
    peer.join_syn()
    with pytest.raises(UsageError, match="subflow 2 is not open yet"):
        peer.script.host.set_backup(0, 2, 2, backup=True)
