"""Floods of MP_JOIN SYNs from an attacker that saw a token on some path."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.attack import ATTACKER, MESH, VICTIM, advertised, unharmed
from support.script import PEER_2, UNCHECKED, MpPeer, found, resets, syns

from plait.host.events import SubflowUp
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn
from plait.wire.segment import SYN, Segment

HALF_OPEN = UNCHECKED.max_half_open_joins


def flood(peer: MpPeer, count: int, *, spare: int = 0) -> list[Segment]:
    """Send join SYNs with the right token from many ports; return the answers."""
    sent: list[Segment] = []
    for port in range(10_000 + spare, 10_000 + spare + count):
        flow = peer.script.flow(ATTACKER, port)
        option = MpJoinSyn(token=peer.keys.remote_token, nonce=port, address_id=port % 250 + 1)
        sent += flow.send(SYN, options=[option])
    return sent


def joined(peer: MpPeer, port: int) -> bool:
    """Have the peer try to join; return whether it could."""
    before = len(peer.script.heard(SubflowUp))
    flow, (answer,) = peer.join_syn(PEER_2, port=port)
    if not resets([answer]):
        flow.send(options=[peer.join_ack(flow, answer)])
    return len(peer.script.heard(SubflowUp)) > before


@pytest.mark.rfc("7430", "3", "T-7430-2")
@pytest.mark.parametrize("pause", [0, 1100 * MILLISECOND])
def test_a_flood_keeps_the_peer_out_for_a_second_and_no_longer(pause: int) -> None:
    peer = MpPeer()
    answers = flood(peer, 1000)
    assert len(syns(answers)) == HALF_OPEN
    assert len(resets(answers)) == 1000 - HALF_OPEN
    assert len(peer.connection.subflows) == 1 + HALF_OPEN
    assert len(peer.script.host._connections.by_flow) == 1 + HALF_OPEN
    assert peer.script.host.counters.mp_join_rejected == 1000 - HALF_OPEN
    peer.script.wait(pause)
    assert joined(peer, 40_000) == (pause > 0)
    assert unharmed(peer)


@pytest.mark.rfc("7430", "3", "T-7430-2")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-25")
def test_the_peer_joins_in_the_midst_of_a_flood() -> None:
    peer = MpPeer()
    tries = 0
    for second in range(60):
        flood(peer, 20, spare=40 * second)
        peer.script.wait(SECOND + MILLISECOND)
        tries += 1
        if joined(peer, 20_000 + second):
            break
        flood(peer, 20, spare=40 * second + 20)
    assert tries < 60
    assert len(peer.connection.subflows) <= 40  # some that ended are remembered
    assert len([one for one in peer.connection.subflows if one.alive]) <= 2 + HALF_OPEN
    assert unharmed(peer)


def test_a_join_whose_answer_is_not_overdue_keeps_its_place() -> None:
    peer = MpPeer(replace(UNCHECKED, max_half_open_joins=1))
    flow, (answer,) = peer.join_syn(PEER_2)
    peer.script.wait(900 * MILLISECOND)  # a slow path
    flood(peer, 100)
    flow.send(options=[peer.join_ack(flow, answer)])
    assert len(peer.script.heard(SubflowUp)) == 2


def test_a_join_that_lost_its_place_is_reset_when_its_proof_comes() -> None:
    peer = MpPeer(replace(UNCHECKED, max_half_open_joins=1))
    flow, (answer,) = peer.join_syn(PEER_2)
    peer.script.wait(1100 * MILLISECOND)
    flood(peer, 1)
    assert len(resets(flow.send(options=[peer.join_ack(flow, answer)]))) == 1
    assert len(peer.script.heard(SubflowUp)) == 1
    assert unharmed(peer)


@pytest.mark.rfc("7430", "4", "T-7430-4")
def test_joins_in_the_name_of_a_victim_amplify_little() -> None:
    peer = MpPeer()
    sent: list[Segment] = []
    for port in range(1000, 1100):
        flow = peer.script.flow(VICTIM, port)
        option = MpJoinSyn(token=peer.keys.remote_token, nonce=port, address_id=7)
        sent += flow.send(SYN, options=[option])
    sent += peer.script.wait(600 * SECOND)
    tries = 1 + UNCHECKED.syn_retries
    assert len(syns(sent)) == HALF_OPEN * tries
    assert len(sent) <= 100 - HALF_OPEN + HALF_OPEN * tries
    assert len(peer.connection.subflows) == 1 + HALF_OPEN
    assert not any(one.alive for one in peer.connection.subflows[1:])
    assert unharmed(peer)


@pytest.mark.rfc("7430", "3", "T-7430-2")
@pytest.mark.parametrize("proved", [False, True])
def test_joins_that_fail_do_not_fill_the_address_list(proved: bool) -> None:
    peer = MpPeer(replace(MESH, max_addresses=3))
    for number in (1, 2):
        address = ip_address(f"10.66.0.{number}")
        flow, (answer,) = peer.join_syn(address, address_id=number, port=6000)
        proof = peer.join_ack(flow, answer) if proved else MpJoinAck(bytes(20))
        flow.send(options=[proof])
    echoed = found(peer.first.send(options=[advertised(peer, PEER_2, address_id=1)]), AddAddr)
    assert len(echoed) == (not proved)  # the id is taken only if the peer took it
    assert (peer.connection.addresses.remote.get(1) == PEER_2) == (not proved)
