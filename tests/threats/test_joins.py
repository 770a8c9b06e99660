"""Joining somebody else's connection: forged, guessed, repeated and diverted MP_JOINs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.attack import ATTACKER, MESH, reasons, unharmed
from support.script import (
    KEY,
    NONCE,
    PEER_2,
    UNCHECKED,
    Flow,
    MpPeer,
    found,
    payload,
    resets,
    syns,
)

from plait.host.events import SubflowUp
from plait.mptcp.keys import Keys
from plait.units import SECOND
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_tcprst import MPTCP_SPECIFIC
from plait.wire.segment import ACK, SYN, Segment


def ups(peer: MpPeer) -> int:
    return len(peer.script.heard(SubflowUp))


def half_open(peer: MpPeer) -> tuple[Flow, MpJoinSynAck]:
    """Have an attacker that saw the token begin a join; return it with the host's answer."""
    flow, (answer,) = peer.join_syn(ATTACKER, port=6666)
    (option,) = found([answer], MpJoinSynAck)
    assert isinstance(option, MpJoinSynAck)
    return flow, option


@pytest.mark.rfc("6181", "5", "T-6181-3")
@pytest.mark.rfc("6181", "5", "T-6181-4")
@pytest.mark.rfc("7430", "5", "T-7430-5")
@pytest.mark.rfc("8684", "5", "M8684-5-01")
@pytest.mark.parametrize("saw", ["the token", "our key", "both keys"])
def test_a_hijacker_needs_both_keys(saw: str) -> None:
    peer = MpPeer()
    flow, answer = half_open(peer)
    keys = Keys(KEY if saw == "both keys" else b"a guess.")
    keys.learn(b"a guess." if saw == "the token" else peer.keys.remote)
    flow.send(options=[MpJoinAck(keys.sent_hmac(NONCE, answer.nonce)[:20])])
    counters = peer.script.host.counters
    assert unharmed(peer)
    if saw == "both keys":  # who saw the handshake is the peer, as far as the protocol can tell
        assert (ups(peer), counters.mp_join_ack_hmac_failure) == (2, 0)
        flow.send(ACK, b"hijacked", dss=peer.dss(peer.dsn, 1, b"hijacked"))
        assert peer.script.read(peer.id) == b"hijacked"
    else:
        assert (ups(peer), counters.mp_join_ack_hmac_failure) == (1, 1)
        flow.send(ACK, b"hijacked", dss=peer.dss(peer.dsn, 1, b"hijacked"))
        assert unharmed(peer, b"again")


@pytest.mark.rfc("6181", "5", "T-6181-5")
@pytest.mark.rfc("8684", "5", "M8684-5-01")
@pytest.mark.parametrize("fresh", [False, True])
def test_a_join_that_was_seen_cannot_be_repeated(fresh: bool) -> None:
    peer = MpPeer()
    seen, (answer,) = peer.join_syn()
    proof = peer.join_ack(seen, answer)
    seen.send(options=[proof])
    flow, (other,) = peer.join_syn(ATTACKER, port=6666)  # the same nonce, as it was seen
    answers = flow.send(options=[peer.join_ack(flow, other) if fresh else proof])
    assert ups(peer) == 2 + fresh
    assert reasons(answers) == ([] if fresh else [MPTCP_SPECIFIC])
    assert peer.script.host.counters.mp_join_ack_hmac_failure == (not fresh)
    assert unharmed(peer)


@pytest.mark.rfc("6181", "5", "T-6181-5")
@pytest.mark.parametrize("fresh", [False, True])
def test_an_answer_that_was_seen_cannot_be_repeated(fresh: bool) -> None:
    peer = MpPeer(replace(MESH, max_subflows=2), passive=False)

    def answer() -> list[Segment]:
        flow = next(
            flow
            for flow in reversed(peer.script.flows.values())
            if flow is not peer.first and flow.sent
        )
        (syn,) = found(flow.sent[:1], MpJoinSyn)
        assert isinstance(syn, MpJoinSyn)
        nonce = syn.nonce if fresh else syn.nonce ^ 1
        hmac = peer.keys.sent_hmac(NONCE, nonce)[:8]
        return flow.send(SYN | ACK, options=[MpJoinSynAck(hmac=hmac, nonce=NONCE, address_id=0)])

    answers = answer()
    assert len(found(answers, MpJoinAck)) == fresh
    assert len(resets(answers)) == (not fresh)
    assert peer.script.host.counters.mp_join_syn_ack_hmac_failure == (not fresh)
    assert unharmed(peer)


@pytest.mark.rfc("7430", "3", "T-7430-3")
def test_guessing_tokens_is_counted_and_leaves_nothing() -> None:
    peer = MpPeer()
    counters = peer.script.host.counters
    known = peer.script.host._connections
    for guess in range(1, 501):
        flow = peer.script.flow(ATTACKER, 5000 + guess)
        syn = MpJoinSyn(token=peer.keys.remote_token ^ guess, nonce=guess, address_id=9)
        assert len(resets(flow.send(SYN, options=[syn]))) == 1
    assert counters.mp_join_no_token_found == 500
    assert (len(known.by_id), len(known.by_flow), len(known.by_token)) == (1, 1, 1)
    flow, _ = half_open(peer)  # the one that is right gets an answer, and no further
    assert reasons(flow.send(options=[MpJoinAck(bytes(20))])) == [MPTCP_SPECIFIC]
    assert counters.mp_join_ack_hmac_failure == 1
    assert unharmed(peer)


@pytest.mark.rfc("6181", "6", "T-6181-6")
@pytest.mark.rfc("7430", "6", "T-7430-6")
def test_addresses_of_joins_are_not_authenticated_since_nats_change_them() -> None:
    """Whoever sits on the path and relays the handshake looks like a NAT, and is one."""
    peer = MpPeer()
    flow = peer.join(ip_address("198.51.100.7"), address_id=2)
    assert ups(peer) == 2
    assert peer.connection.addresses.remote[2] == flow.path.local
    peer.data(b"through the relay", flow=flow)
    assert peer.script.read(peer.id) == b"through the relay"


@pytest.mark.rfc("6181", "5", "T-6181-3")
def test_nothing_is_sent_on_a_join_before_its_proof() -> None:
    peer = MpPeer(replace(UNCHECKED, scheduler="redundant"))
    flow, _ = half_open(peer)
    sent = peer.script.write(peer.id, b"secret" * 1000)
    sent += peer.script.wait(5 * SECOND)
    assert payload([one for one in sent if one.flow == flow.sent[0].flow]) == b""
    assert payload([one for one in sent if one.flow == peer.first.sent[0].flow])[:6] == b"secret"
    assert syns(sent) == [one for one in sent if one.flags == SYN | ACK]


@pytest.mark.rfc("6181", "5", "T-6181-3")
def test_the_token_alone_does_not_tell_the_peers_address() -> None:
    """A join that fails changes nothing of what the host knows of its peer."""
    peer = MpPeer()
    before = dict(peer.connection.addresses.remote)
    flow, _ = half_open(peer)
    assert peer.connection.addresses.remote == before
    flow.send(options=[MpJoinAck(bytes(20))])
    assert peer.connection.addresses.remote == before
    peer.join(PEER_2, address_id=2)
    assert peer.connection.addresses.remote == {**before, 2: PEER_2}
