"""MP_JOIN in both roles (RFC 8684, 3.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import (
    HOST_2,
    NONCE,
    PEER,
    PEER_2,
    PORT,
    UNCHECKED,
    Flow,
    MpPeer,
    payload,
    resets,
)

from plait.host.events import SubflowDown, SubflowUp
from plait.units import SECOND
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_tcprst import ADMINISTRATIVELY_PROHIBITED, MPTCP_SPECIFIC, MpTcprst
from plait.wire.option import Option
from plait.wire.segment import ACK, RST, SYN, Segment

MESH = replace(UNCHECKED, path_manager="fullmesh")


def option_of(segment: Segment, kind: type[Option]) -> list[Option]:
    return [option for option in segment.options if isinstance(option, kind)]


def reason(segments: list[Segment]) -> list[int]:
    """Return the MP_TCPRST reasons of the RSTs."""
    return [
        option.reason
        for segment in resets(segments)
        for option in segment.options
        if isinstance(option, MpTcprst)
    ]


def joining() -> tuple[MpPeer, Flow, MpJoinSyn]:
    """Return an initiator that has sent the SYN of its join."""
    peer = MpPeer(MESH, passive=False)
    (flow,) = (flow for flow in peer.script.flows.values() if flow is not peer.first)
    (option,) = option_of(flow.sent[0], MpJoinSyn)
    assert isinstance(option, MpJoinSyn)
    return peer, flow, option


def answer_of(peer: MpPeer, syn: MpJoinSyn, *, flip: int = 0) -> MpJoinSynAck:
    hmac = bytearray(peer.keys.sent_hmac(NONCE, syn.nonce)[:8])
    hmac[0] ^= flip
    return MpJoinSynAck(hmac=bytes(hmac), nonce=NONCE, address_id=0)


# ---- listener


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-10")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-14")
def test_a_good_join_is_answered_and_its_third_packet_acknowledged_at_once() -> None:
    peer = MpPeer()
    flow, (answer,) = peer.join_syn()
    assert answer.flags == SYN | ACK
    (ack,) = flow.send(options=[peer.join_ack(flow, answer)])
    assert peer.data_acked(ack) == 1
    assert len(peer.script.heard(SubflowUp)) == 2
    peer.data(b"over the second", flow=flow)
    assert peer.script.read(2) == b"over the second"


@pytest.mark.rfc("8684", "3.6", "M8684-3.6-01")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-11")
@pytest.mark.rfc("8684", "3.8", "M8684-3.8-01")
def test_an_unknown_token_is_reset() -> None:
    peer = MpPeer()
    flow = peer.script.flow(PEER_2)
    syn = MpJoinSyn(token=peer.keys.remote_token ^ 1, nonce=NONCE, address_id=2)
    answers = flow.send(SYN, options=[syn])
    assert [one.flags for one in answers] == [RST | ACK]
    assert reason(answers) == [MPTCP_SPECIFIC]


@pytest.mark.rfc("6182", "2.3", "M6182-2.3-01")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-20")
@pytest.mark.parametrize("form", ["wrong", "missing"])
def test_a_third_packet_without_the_proof_is_reset(form: str) -> None:
    peer = MpPeer()
    flow, (answer,) = peer.join_syn()
    good = peer.join_ack(flow, answer)
    wrong = MpJoinAck(bytes([good.hmac[0] ^ 1]) + good.hmac[1:])
    answers = flow.send(options=[wrong] if form == "wrong" else [])
    assert reason(answers) == [MPTCP_SPECIFIC]
    assert len(peer.script.heard(SubflowUp)) == 1
    assert peer.script.endings() == []
    peer.data(b"unharmed")
    assert peer.script.read(2) == b"unharmed"


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-27")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-26")
def test_data_before_the_proof_is_not_taken() -> None:
    peer = MpPeer()
    flow, _ = peer.join_syn()
    answers = flow.send(ACK, b"sneaked in", dss=peer.dss(1, 1, b"sneaked in"))
    assert reason(answers) == [MPTCP_SPECIFIC]
    assert peer.script.read(2) is None


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-03")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-13")
def test_each_attempt_has_one_guess_and_its_own_nonce() -> None:
    peer = MpPeer()
    nonces = set()
    for _ in range(3):
        flow, (answer,) = peer.join_syn()
        (option,) = option_of(answer, MpJoinSynAck)
        assert isinstance(option, MpJoinSynAck)
        nonces.add(option.nonce)
        assert reason(flow.send(options=[MpJoinAck(bytes(20))])) == [MPTCP_SPECIFIC]
    assert len(nonces) == 3


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-11")
@pytest.mark.rfc("8684", "3.9.2", "M8684-3.9.2-02")
def test_no_more_subflows_than_the_limit() -> None:
    peer = MpPeer(replace(UNCHECKED, max_subflows=3))
    for port in (1001, 1002):
        _, answers = peer.join_syn(port=port)
        assert not resets(answers)
    _, answers = peer.join_syn(port=1003)
    assert reason(answers) == [ADMINISTRATIVELY_PROHIBITED]


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-28")
def test_no_join_to_a_connection_that_fell_back() -> None:
    peer = MpPeer()
    peer.first.send(ACK, b"plain")
    _, answers = peer.join_syn()
    assert reason(answers) == [MPTCP_SPECIFIC]


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-28")
def test_no_join_to_a_connection_that_is_closing() -> None:
    peer = MpPeer()
    peer.data_fin()
    peer.script.close(2)
    peer.acked = 2
    peer.first.send(dss=peer.ack())
    _, answers = peer.join_syn()
    assert reason(answers) == [MPTCP_SPECIFIC]


@pytest.mark.rfc("6182", "5.6", "M6182-5.6-01")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-10")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-23")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-24")
def test_the_token_finds_the_connection_whatever_the_port() -> None:
    peer = MpPeer()
    flow = peer.script.flow(PEER_2, remote=HOST_2, remote_port=PORT + 1)
    syn = MpJoinSyn(token=peer.keys.remote_token, nonce=NONCE, address_id=2)
    (answer,) = flow.send(SYN, options=[syn])
    assert answer.flags == SYN | ACK


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-14")
def test_a_repeated_third_packet_is_acknowledged_again() -> None:
    peer = MpPeer()
    flow, (answer,) = peer.join_syn()
    proof = peer.join_ack(flow, answer)
    flow.send(options=[proof])
    (again,) = flow.send(options=[proof])
    assert peer.data_acked(again) == 1


def test_a_lost_third_packet_brings_the_syn_ack_back() -> None:
    peer = MpPeer()
    flow, (answer,) = peer.join_syn()
    (again,) = peer.script.wait(SECOND)
    assert again.options == answer.options
    flow.send(options=[peer.join_ack(flow, again)])
    assert len(peer.script.heard(SubflowUp)) == 2


def test_a_path_can_be_joined_again_after_a_reset() -> None:
    peer = MpPeer()
    flow = peer.join()
    flow.send(RST)
    again = peer.join()
    assert len(peer.script.heard(SubflowUp)) == 3
    peer.data(b"back again", flow=again)
    assert peer.script.read(2) == b"back again"


def test_a_half_open_join_is_given_up_in_silence() -> None:
    peer = MpPeer()
    peer.join_syn()
    peer.script.wait(300 * SECOND)
    assert len(peer.script.host._connections.by_flow) == 1
    assert peer.script.heard(SubflowDown) == []


# ---- initiator


@pytest.mark.rfc("8684", "3.4", "M8684-3.4-02")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-02")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-08")
@pytest.mark.rfc("8684", "3.9.1", "M8684-3.9.1-01")
@pytest.mark.rfc("8684", "3.9.1", "M8684-3.9.1-02")
def test_the_join_names_the_token_and_uses_the_ports_of_the_first_subflow() -> None:
    peer, flow, syn = joining()
    assert syn.token == peer.keys.local_token
    assert syn.address_id == 1
    assert not syn.backup
    assert flow.path.remote == HOST_2
    assert flow.path.remote_port == peer.first.path.remote_port
    assert (flow.path.local, flow.path.local_port) == (PEER, PORT)


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-27")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-15")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-16")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-17")
def test_the_proof_is_repeated_and_no_data_sent_until_it_is_acknowledged() -> None:
    peer, flow, syn = joining()
    (third,) = flow.send(SYN | ACK, options=[answer_of(peer, syn)])
    expected = peer.keys.expected_hmac(NONCE, syn.nonce)[:20]
    assert third.options == (MpJoinAck(expected),)
    peer.first.send(dss=peer.ack(), window=0)
    peer.script.write(1, b"waits")
    peer.script.wait(3 * SECOND)
    repeated = [one for one in flow.sent[2:] if one.options]
    assert len(repeated) >= 2
    assert {one.options for one in repeated} == {third.options}
    assert payload(flow.sent) == b""
    assert len(peer.script.heard(SubflowUp)) == 1
    sent = flow.send(dss=peer.ack())
    assert payload(sent) == b"waits"
    assert len(peer.script.heard(SubflowUp)) == 2


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-19")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-21")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-02")
@pytest.mark.rfc("8684", "3.9.3", "M8684-3.9.3-02")
@pytest.mark.parametrize("form", ["wrong", "missing"])
def test_a_syn_ack_without_the_proof_is_reset(form: str) -> None:
    peer, flow, syn = joining()
    options = [answer_of(peer, syn, flip=1)] if form == "wrong" else []
    answers = flow.send(SYN | ACK, options=options)
    assert reason(answers) == [MPTCP_SPECIFIC]
    assert payload(peer.script.write(1, b"goes on")) == b"goes on"
    assert peer.script.endings() == []


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-22")
def test_a_refused_join_leaves_the_connection_alone() -> None:
    peer, flow, _ = joining()
    flow.send(RST | ACK, options=[MpTcprst(MPTCP_SPECIFIC)])
    assert payload(peer.script.write(1, b"goes on")) == b"goes on"
    assert len(peer.script.host._connections.by_flow) == 1


def test_a_listener_that_never_acknowledges_the_proof_is_given_up() -> None:
    peer, flow, syn = joining()
    flow.send(SYN | ACK, options=[answer_of(peer, syn)])
    peer.script.wait(600 * SECOND)
    assert len(peer.script.host._connections.by_flow) == 1
    assert len([one for one in flow.sent if option_of(one, MpJoinAck)]) == 7


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-09")
def test_a_backup_of_the_peers_making_gets_no_data_while_another_works() -> None:
    peer = MpPeer()
    flow = peer.script.flow(PEER_2)
    syn = MpJoinSyn(token=peer.keys.remote_token, nonce=NONCE, address_id=2, backup=True)
    (answer,) = flow.send(SYN, options=[syn])
    flow.send(options=[peer.join_ack(flow, answer)])
    peer.script.write(2, bytes(100_000))
    assert payload(peer.first.sent)
    assert payload(flow.sent) == b""
