"""Lying about addresses: forged and repeated ADD_ADDR, floods of them, forged REMOVE_ADDR."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.attack import ATTACKER, MESH, VICTIM, advertised, unharmed
from support.script import (
    HOST,
    HOST_2,
    KEY,
    NONCE,
    PEER_2,
    VERSION_0,
    Flow,
    MpPeer,
    found,
    payload,
    resets,
    syns,
)

from plait.host.settings import Settings
from plait.mptcp.keys import Keys
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_join import MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.segment import ACK, RST, SYN, Segment

ONE_PATH = replace(MESH, max_subflows=4)


def initiator(settings: Settings = ONE_PATH) -> MpPeer:
    """Return a peer that the host connected to; its second address is left out."""
    return MpPeer(settings, passive=False)


def to(peer: MpPeer, segments: list[Segment], address: object) -> list[Segment]:
    """Return the segments that go to an address."""
    return [one for one in segments if peer.script.flows[one.flow].path.local == address]


def wrong_keys() -> Keys:
    """Return the keys of another connection of the peer's."""
    keys = Keys(KEY)
    keys.learn(b"another.")
    return keys


# ---- ADD_ADDR


@pytest.mark.rfc("7430", "2", "T-7430-1")
@pytest.mark.rfc("6181", "5", "T-6181-3")
@pytest.mark.parametrize(
    "lie", ["nothing", "address", "address id", "port", "HMAC", "no HMAC", "another connection"]
)
def test_traffic_is_not_diverted_by_a_changed_or_forged_advertisement(lie: str) -> None:
    peer = initiator()
    genuine = advertised(peer, ATTACKER)
    forged = {
        "nothing": genuine,
        "address": replace(advertised(peer, PEER_2), address=ATTACKER),
        "address id": replace(genuine, address_id=4),
        "port": replace(genuine, port=443),
        "HMAC": replace(genuine, hmac=bytes(8)),
        "no HMAC": replace(genuine, hmac=None),
        "another connection": advertised(peer, ATTACKER, keys=wrong_keys()),
    }[lie]
    sent = peer.first.send(dss=peer.ack(), options=[forged])
    believed = lie == "nothing"
    assert bool(to(peer, sent, ATTACKER)) == believed
    assert len(found(sent, AddAddr)) == believed
    assert peer.script.host.counters.add_addr == believed
    assert (ATTACKER in peer.connection.addresses.remote.values()) == believed
    assert unharmed(peer)


@pytest.mark.rfc("7430", "2", "T-7430-1")
@pytest.mark.rfc("8684", "5", "T-x-1")
@pytest.mark.parametrize(("version", "diverted"), [("v0", True), ("v1", False)])
def test_version_0_lets_anyone_on_a_path_divert_traffic(version: str, diverted: bool) -> None:
    """The attacker relays the handshake to the peer, whose proof is all the host asks for."""
    settings = replace(VERSION_0, path_manager="fullmesh") if version == "v0" else ONE_PATH
    peer = initiator(settings)
    forged = AddAddr(address_id=9, address=ATTACKER, version=0)
    opened = syns(to(peer, peer.first.send(dss=peer.ack(), options=[forged]), ATTACKER))
    assert bool(opened) == diverted
    if diverted:
        flow = peer.script.flows[opened[0].flow]
        (syn,) = found(opened[:1], MpJoinSyn)
        assert isinstance(syn, MpJoinSyn)
        hmac = peer.keys.sent_hmac(NONCE, syn.nonce)[:8]
        flow.send(SYN | ACK, options=[MpJoinSynAck(hmac=hmac, nonce=NONCE, address_id=9)])
        flow.send(dss=peer.ack())
        assert peer.connection.subflows[-1].can_send or peer.connection.joined


@pytest.mark.rfc("6181", "5", "T-6181-5")
def test_a_repeated_advertisement_opens_nothing_twice() -> None:
    peer = initiator()
    seen = advertised(peer, PEER_2)
    first = syns(peer.first.send(dss=peer.ack(), options=[seen]))
    assert first
    for _ in range(50):
        assert syns(peer.first.send(dss=peer.ack(), options=[seen])) == []
    assert unharmed(peer)


@pytest.mark.rfc("6181", "3", "T-6181-1")
@pytest.mark.rfc("8684", "5", "M8684-5-03")
@pytest.mark.parametrize("victim", ["is silent", "resets", "is the peer"])
def test_a_victim_gets_a_few_syns_and_no_data(victim: str) -> None:
    peer = initiator(replace(ONE_PATH, max_subflows=2))
    peer.script.host.on_local_address(0, HOST_2, present=False, mtu=1500)
    peer.script.turn()
    sent = peer.first.send(dss=peer.ack(), options=[advertised(peer, VICTIM)])
    flow = peer.script.flows[to(peer, sent, VICTIM)[0].flow]
    if victim == "resets":
        flow.send(RST | ACK)
    elif victim == "is the peer":
        (syn,) = found(flow.sent, MpJoinSyn)
        assert isinstance(syn, MpJoinSyn)
        hmac = peer.keys.sent_hmac(NONCE, syn.nonce)[:8]
        flow.send(SYN | ACK, options=[MpJoinSynAck(hmac=hmac, nonce=NONCE, address_id=3)])
        flow.send(dss=peer.ack())
        peer.first.send(RST | ACK)
    peer.script.write(peer.id, bytes(100_000))
    peer.script.wait(60 * SECOND)
    told = flow.sent
    assert bool(payload(told)) == (victim == "is the peer")
    if victim == "is the peer":
        assert len(payload(told[:14])) <= 14_600  # slow start, with a window of its own
    else:
        tries = 1 if victim == "resets" else 1 + ONE_PATH.syn_retries
        assert 1 <= len(told) <= tries
        assert syns(told) == told


@pytest.mark.rfc("6181", "3", "T-6181-2")
@pytest.mark.rfc("8684", "5", "M8684-5-03")
@pytest.mark.parametrize("at_once", [False, True])
def test_a_flood_of_advertisements_is_bounded(at_once: bool) -> None:
    peer = initiator(replace(MESH, max_addresses=8, max_subflows=8))
    flood = [
        peer.first.segment(
            dss=peer.ack(),
            options=[advertised(peer, VICTIM + number, address_id=number % 250 + 1)],
        )
        for number in range(2000)
    ]
    sent: list[Segment] = []
    waiting = 0
    for batch in [flood] if at_once else [[one] for one in flood]:
        peer.script.host.receive(peer.script.now, batch)
        waiting = max(waiting, len(peer.connection.subflows[0].signals))
        sent += peer.script.turn()
    targets = {peer.script.flows[one.flow].path.local for one in syns(sent)} - {
        peer.first.path.local
    }
    assert 0 < len(targets) <= 8
    assert len(syns(sent)) <= 8
    assert waiting <= 8
    counters = peer.script.host.counters
    assert len(peer.connection.addresses.remote) <= 8
    assert counters.add_addr_drop >= 1900
    assert (counters.echo_add_tx_drop > 1900) == at_once
    assert unharmed(peer)


# ---- REMOVE_ADDR


def joined() -> tuple[MpPeer, Flow]:
    """Return a peer with a second path."""
    peer = MpPeer(MESH)
    return peer, peer.join(PEER_2, address_id=2)


@pytest.mark.rfc("6181", "5", "T-6181-3")
@pytest.mark.parametrize("cut", [False, True])
def test_a_forged_removal_ends_no_path_that_works(cut: bool) -> None:
    peer, second = joined()
    peer.first.send(dss=peer.ack(), options=[RemoveAddr((2,))])
    peer.script.now += MILLISECOND
    if not cut:
        second.send(dss=peer.ack())  # what the peer answers to the keep-alive
    peer.script.wait(60 * SECOND)
    assert bool(resets(second.sent)) == cut
    assert peer.script.host.counters.rm_subflow == cut
    if not cut:
        peer.data(b"still here", flow=second)
        assert peer.script.read(peer.id) == b"still here"
    assert unharmed(peer)


@pytest.mark.rfc("6181", "5", "T-6181-5")
def test_removals_and_advertisements_in_turn_ask_once_each_and_keep_nothing() -> None:
    """On the path an attacker can repeat the peer's ADD_ADDR after each REMOVE_ADDR he forges."""
    peer, second = joined()
    seen = advertised(peer, PEER_2, address_id=2)
    for _ in range(100):
        peer.first.send(dss=peer.ack(), options=[RemoveAddr((2,))])
        peer.first.send(dss=peer.ack(), options=[seen])
        assert len(peer.connection.tasks) <= 1
        peer.script.now += MILLISECOND
        second.send(dss=peer.ack())
    assert len([one for one in second.sent if one.flags == ACK]) <= 101
    assert len(peer.connection.addresses.remote) == 2
    assert len(peer.connection.subflows) == 2
    assert not resets(peer.script.wait(60 * SECOND))
    assert peer.script.flows[second.sent[0].flow].path.remote == HOST
    assert unharmed(peer)


@pytest.mark.rfc("6181", "3", "T-6181-2")
def test_removals_of_what_nobody_named_are_nothing() -> None:
    peer, _ = joined()
    for number in range(3, 253):
        peer.first.send(dss=peer.ack(), options=[RemoveAddr((number,))])
    assert peer.script.host.counters.rm_addr == 250
    assert not peer.connection.addresses.removed
    assert not peer.connection.tasks
    assert ip_address("10.0.2.2") in peer.connection.addresses.remote.values()
