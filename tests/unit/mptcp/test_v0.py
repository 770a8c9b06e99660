"""Version 0: every row of RFC 6824 that differs from version 1, on one connection."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from support.script import (
    HOST_2,
    KEY,
    NONCE,
    PEER,
    PEER_2,
    PORT,
    VERSION_0,
    Flow,
    MpPeer,
    Script,
    found,
    payload,
    resets,
    syns,
)

from plait.host.events import LossReason
from plait.host.settings import Settings
from plait.mptcp.keys import Keys
from plait.pathing.base import OpenSubflow
from plait.units import SECOND
from plait.wire.crypto import ACK_HMAC_OCTETS, SYN_ACK_HMAC_OCTETS, idsn, join_hmac, token
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import DATA_ACK, MAPPING
from plait.wire.mptcp.mp_capable import (
    CHECKSUM_REQUIRED,
    DENY_JOIN_ID0,
    EXTENSIBILITY,
    HMAC_SHA256,
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_tcprst import MpTcprst
from plait.wire.option import Option
from plait.wire.segment import ACK, PSH, SYN, Segment
from plait.wire.seq import wrap64

CAPABLE = (MpCapableSyn, MpCapableSynAck, MpCapableAck, MpCapableData)
CHECKED = replace(VERSION_0, checksum=True)
MESH = replace(VERSION_0, path_manager="fullmesh")
OFFER = MpCapableSynAck(version=0, sender_key=KEY)


def capable(segments: list[Segment]) -> list[Option]:
    return found(segments, *CAPABLE)


def is_plain(segments: list[Segment]) -> bool:
    return not capable(segments) and all(segment.dss is None for segment in segments)


def offered(offer: Option, settings: Settings = VERSION_0) -> tuple[Script, Flow, list[Segment]]:
    """Return what a listener answers to a SYN with this option."""
    script = Script(settings)
    script.host.listen(0, PORT)
    flow = script.flow()
    return script, flow, flow.send(SYN, options=[offer])


def connected(settings: Settings = VERSION_0, data: bytes = b"") -> tuple[Script, Flow]:
    """Return a host that sent its SYN and has data to send."""
    script = Script(settings)
    script.host.connect(0, PEER, PORT)
    if data:
        script.host.write(0, 1, data)
    (syn,) = script.turn()
    return script, script.flows[syn.flow]


# ---- MP_CAPABLE


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-01")
def test_the_syn_and_the_third_ack_of_the_initiator_carry_keys() -> None:
    script, flow = connected()
    (syn,) = capable(flow.sent)
    assert isinstance(syn, MpCapableSynAck)
    assert (syn.version, syn.flags, len(syn.serialize())) == (0, HMAC_SHA256, 12)
    third = flow.send(SYN | ACK, options=[OFFER])
    keys = MpCapableAck(version=0, sender_key=syn.sender_key, receiver_key=KEY)
    assert [one.options for one in third] == [(keys,)]
    assert len(keys.serialize()) == 20
    assert script.host.info(1).version == 0


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-01")
@pytest.mark.rfc("6824", "3.1", "M6824-3.1-07")
def test_the_syn_ack_of_the_listener_carries_its_key() -> None:
    script, _, answers = offered(OFFER)
    (option,) = capable(answers)
    assert isinstance(option, MpCapableSynAck)
    assert (option.version, option.flags, len(option.serialize())) == (0, HMAC_SHA256, 12)
    keys = script.connection(2).keys
    assert option.sender_key == keys.local
    assert (keys.local_token, keys.local_idsn) == (token(keys.local, 0), idsn(keys.local, 0))
    assert (keys.local_token, keys.local_idsn) != (token(keys.local), idsn(keys.local))


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-02")
@pytest.mark.parametrize("early", [b"", b"hello"], ids=["data later", "data at hand"])
def test_first_data_has_a_dss_and_comes_after_the_third_ack(early: bytes) -> None:
    script, flow = connected(data=early)
    sent = flow.send(SYN | ACK, options=[OFFER])
    sent += [] if early else script.write(1, b"hello")
    third, data = sent
    assert [type(option) for option in third.options] == [MpCapableAck]
    assert (third.length, third.flags) == (0, ACK)
    assert (payload([data]), data.options) == (b"hello", ())
    assert data.dss is not None
    key = script.connection(1).keys.local
    assert (data.dss.dsn, data.dss.ssn) == (wrap64(1, idsn(key, 0)), 1)
    assert data.dss.flags & (MAPPING | DATA_ACK) == MAPPING | DATA_ACK


def test_the_third_ack_comes_again_with_its_keys() -> None:
    script, flow = connected()
    first = flow.send(SYN | ACK, options=[OFFER])
    again = flow.send(SYN | ACK, seq=0, options=[OFFER])
    assert capable(again) == capable(first)
    assert len(again) == 1
    assert script.host.info(1).is_mptcp


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-02")
def test_mp_capable_with_data_is_no_mapping() -> None:
    peer = MpPeer(VERSION_0)
    peer.first.send(ACK | PSH, b"hello", options=[peer.capable_data(b"hello")])
    assert peer.script.read(2) == b"hello"
    assert peer.script.host.info(2).fallback_reason == "data without a mapping"


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-04")
@pytest.mark.rfc("8041", "3.10", "M8041-3.10-1")
def test_data_instead_of_the_third_ack_means_tcp() -> None:
    peer = MpPeer(VERSION_0, confirm=False)
    sent = peer.data(b"hello") + peer.data(b" world") + peer.script.write(2, b"answer")
    assert is_plain(sent)
    assert payload(sent) == b"answer"
    assert peer.script.read(2) == b"hello world"


@pytest.mark.parametrize("keys", [(b"another!", None), (None, b"another!")])
def test_a_third_ack_with_other_keys_means_tcp(keys: tuple[bytes | None, bytes | None]) -> None:
    peer = MpPeer(VERSION_0, confirm=False)
    right = peer.capable_ack()
    wrong = replace(
        right,
        sender_key=keys[0] or right.sender_key,
        receiver_key=keys[1] or right.receiver_key,
    )
    peer.first.send(ACK, options=[wrong])
    assert is_plain(peer.script.write(2, b"answer"))


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-03")
@pytest.mark.parametrize("right", [True, False])
def test_a_key_that_nobody_kept_is_known_by_its_echo(right: bool) -> None:
    peer = MpPeer(replace(VERSION_0, syn_cookies="always"), confirm=False)
    assert not peer.script.host._connections.by_id
    echo = peer.capable_ack()
    peer.first.send(ACK, options=[echo if right else replace(echo, receiver_key=b"made up!")])
    peer.data(b"hello")
    info = peer.script.host.info(2)
    assert (info.is_mptcp, info.version) == ((True, 0) if right else (False, None))
    assert peer.script.read(2) == b"hello"


@pytest.mark.parametrize("checksum", [True, False])
def test_the_echo_tells_whether_checksums_were_asked_for(checksum: bool) -> None:
    peer = MpPeer(replace(VERSION_0, syn_cookies="always"), checksum=checksum)
    peer.data(b"hello")
    assert peer.script.host.info(2).csum_enabled is checksum
    assert peer.script.read(2) == b"hello"


FLAGS = {
    "H": (HMAC_SHA256, True),
    "A and H": (CHECKSUM_REQUIRED | HMAC_SHA256, True),
    "none": (0, False),
    "A alone": (CHECKSUM_REQUIRED, False),
    "G alone": (0x02, False),
    "C alone": (DENY_JOIN_ID0, False),
    "G and H": (0x02 | HMAC_SHA256, True),
}


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-06")
@pytest.mark.rfc("6824", "3.1", "M6824-3.1-09")
@pytest.mark.parametrize(("flags", "taken"), FLAGS.values(), ids=FLAGS.keys())
def test_what_the_listener_makes_of_the_algorithms(flags: int, taken: bool) -> None:
    _, _, answers = offered(replace(OFFER, flags=flags))
    assert len(answers) == 1
    options = capable(answers)
    assert bool(options) is taken
    for option in options:
        assert isinstance(option, MpCapableSynAck)
        assert option.flags & 0x3F == HMAC_SHA256


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-06")
@pytest.mark.parametrize("flags", [0, HMAC_SHA256 | DENY_JOIN_ID0, HMAC_SHA256 | 0x02, 0x41])
def test_a_syn_ack_that_does_not_choose_one_algorithm_means_tcp(flags: int) -> None:
    script, flow = connected()
    sent = flow.send(SYN | ACK, options=[replace(OFFER, flags=flags)])
    assert is_plain(sent + script.write(1, b"hello"))


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-05")
@pytest.mark.parametrize(("versions", "answered"), [("v0", 0), ("both", 0), ("v1", 1)])
def test_a_syn_with_flag_b_is_not_answered(versions: str, answered: int) -> None:
    settings = replace(VERSION_0, mptcp_versions=versions)
    _, flow, answers = offered(replace(OFFER, flags=EXTENSIBILITY | HMAC_SHA256), settings)
    assert len(answers) == answered
    again = flow.send(SYN, seq=0, options=[OFFER])
    assert len(again) == 1


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-08")
@pytest.mark.parametrize(("ours", "theirs"), list(product([True, False], repeat=2)))
@pytest.mark.parametrize("passive", [True, False], ids=["listener", "initiator"])
def test_checksums_are_used_if_either_side_asks(passive: bool, ours: bool, theirs: bool) -> None:
    settings = replace(VERSION_0, checksum=ours)
    peer = MpPeer(settings, passive=passive, checksum=theirs)
    peer.data(b"hello")
    (sent,) = peer.script.write(peer.id, b"answer")
    assert peer.script.read(peer.id) == b"hello"
    assert sent.dss is not None
    assert (sent.dss.checksum >= 0) is (ours or theirs)


# ---- joins


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-10")
def test_no_join_before_the_first_dss_even_to_an_address_that_is_advertised() -> None:
    peer = MpPeer(MESH, passive=False, confirm=False)
    advertised = AddAddr(address_id=3, address=PEER_2, version=0)
    sent = peer.script.write(1, b"hello") + peer.first.send(options=[advertised])
    sent += peer.script.wait(SECOND // 10)
    assert not any(segment.flags & SYN for segment in sent)
    joins = [one for one in peer.first.send(dss=peer.ack()) if one.flags & SYN]
    paths = {peer.script.flows[syn.flow].path for syn in joins}
    assert {path.local for path in paths} == {PEER, PEER_2}
    assert len(joins) == 3


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-10")
def test_a_listener_does_not_join_before_the_first_dss_either() -> None:
    peer = MpPeer(VERSION_0)
    peer.connection.joins.append(OpenSubflow(HOST_2, PEER, 40000, 0))
    assert not syns(peer.first.send(options=[peer.capable_ack()]))
    (join,) = syns(peer.data(b"hello"))
    assert found([join], MpJoinSyn)


@pytest.mark.rfc("6824", "3.2", "M6824-3.2-01")
@pytest.mark.rfc("6824", "3.2", "M6824-3.2-02")
def test_a_join_of_the_peer() -> None:
    peer = MpPeer(VERSION_0)
    flow, (answer,) = peer.join_syn()
    (option,) = found([answer], MpJoinSynAck)
    assert isinstance(option, MpJoinSynAck)
    keys = peer.keys
    expected = join_hmac(keys.remote, keys.local, option.nonce, NONCE, 0)
    assert option.hmac == expected[:SYN_ACK_HMAC_OCTETS]
    proof = join_hmac(keys.local, keys.remote, NONCE, option.nonce, 0)
    assert len(proof) == ACK_HMAC_OCTETS
    (acked,) = flow.send(options=[MpJoinAck(proof)])
    assert (acked.flags, acked.length) == (ACK, 0)
    peer.data(b"hello", flow=flow)
    assert peer.script.read(2) == b"hello"


def ours(settings: Settings = MESH) -> tuple[MpPeer, Flow, MpJoinSyn]:
    """Return a peer that the host connects to and then joins from its second address."""
    peer = MpPeer(settings, passive=False)
    (flow,) = [one for one in peer.script.flows.values() if one.path.remote == HOST_2]
    (syn,) = found(flow.sent, MpJoinSyn)
    assert isinstance(syn, MpJoinSyn)
    return peer, flow, syn


@pytest.mark.rfc("6824", "3.2", "M6824-3.2-01")
@pytest.mark.rfc("6824", "3.2", "M6824-3.2-02")
def test_a_join_of_ours_is_proven_until_that_is_acknowledged() -> None:
    peer, flow, syn = ours()
    assert syn.token == token(KEY, 0)
    hmac = peer.keys.sent_hmac(NONCE, syn.nonce)[:SYN_ACK_HMAC_OCTETS]
    sent = flow.send(SYN | ACK, options=[MpJoinSynAck(hmac=hmac, nonce=NONCE, address_id=0)])
    sent += peer.script.wait(2 * SECOND)
    proofs = found(sent, MpJoinAck)
    assert len(proofs) > 1
    whole = join_hmac(peer.keys.remote, peer.keys.local, syn.nonce, NONCE, 0)
    assert {repr(proof) for proof in proofs} == {repr(MpJoinAck(whole))}
    flow.send(dss=peer.ack())
    assert not found(peer.script.wait(5 * SECOND), MpJoinAck)


@pytest.mark.rfc("6824", "3.2", "M6824-3.2-03")
def test_an_unknown_token_is_reset_without_a_reason() -> None:
    peer = MpPeer(VERSION_0)
    flow = peer.script.flow(PEER_2)
    option = MpJoinSyn(token=token(peer.keys.remote), nonce=NONCE, address_id=2)
    (reset,) = resets(flow.send(SYN, options=[option]))
    assert reset.options == ()


@pytest.mark.rfc("6824", "3.2", "M6824-3.2-03")
@pytest.mark.parametrize("options", [[], [MpJoinAck(bytes(20))]], ids=["missing", "wrong"])
def test_a_third_packet_without_the_proof_is_reset_without_a_reason(options: list[Option]) -> None:
    peer = MpPeer(VERSION_0)
    flow, _ = peer.join_syn()
    (reset,) = resets(flow.send(options=options))
    assert reset.options == ()
    assert peer.script.host.info(2).is_mptcp


@pytest.mark.rfc("6824", "3.2", "M6824-3.2-03")
@pytest.mark.parametrize("wrong", [True, False], ids=["wrong", "missing"])
def test_a_syn_ack_without_the_proof_is_reset_without_a_reason(wrong: bool) -> None:
    _, flow, _ = ours()
    option = MpJoinSynAck(hmac=bytes(8), nonce=NONCE, address_id=0)
    (reset,) = resets(flow.send(SYN | ACK, options=[option] if wrong else []))
    assert reset.options == ()


@pytest.mark.rfc("6824", "3.2", "M6824-3.2-03")
def test_a_refused_join_is_reset_without_a_reason() -> None:
    peer = MpPeer(replace(VERSION_0, max_subflows=1))
    _, answers = peer.join_syn()
    (reset,) = resets(answers)
    assert reset.options == ()


# ---- failures


@pytest.mark.rfc("6824", "3.6", "M6824-3.6-01")
def test_on_the_only_subflow_a_failed_checksum_means_tcp_with_mp_fail() -> None:
    peer = MpPeer(CHECKED, checksum=True)
    bad = peer.dss(1, 1, b"hello", checksum=1)
    sent = peer.first.send(ACK | PSH, b"hello", dss=bad)
    assert found(sent, MpFail) == [MpFail(wrap64(1, peer.keys.local_idsn))]
    assert not resets(sent)
    assert peer.script.read(2) == b"hello"
    assert is_plain(peer.script.write(2, b"answer"))


@pytest.mark.rfc("6824", "3.6", "M6824-3.6-01")
def test_on_one_of_two_subflows_it_means_a_rst_with_mp_fail_alone() -> None:
    peer = MpPeer(CHECKED, checksum=True)
    second = peer.join()
    bad = peer.dss(1, 1, b"hello", checksum=1)
    (reset,) = resets(second.send(ACK | PSH, b"hello", dss=bad))
    assert [type(option) for option in reset.options] == [MpFail]


@pytest.mark.rfc("6824", "3.6", "M6824-3.6-01")
def test_mp_fail_of_the_peer_means_an_infinite_mapping_and_tcp() -> None:
    peer = MpPeer(VERSION_0)
    peer.data(b"hello")
    peer.first.send(dss=peer.ack(), options=[MpFail(wrap64(1, peer.keys.remote_idsn))])
    (last,) = peer.script.write(2, b"answer")
    assert last.dss is not None
    assert (last.dss.length, last.options) == (0, ())
    peer.first.send(ACK)
    assert is_plain(peer.script.write(2, b"!"))


@pytest.mark.rfc("6824", "3.6", "M6824-3.6-01")
@pytest.mark.parametrize("checksum", [True, False])
def test_a_subflow_that_breaks_the_rules_is_reset_without_a_reason(checksum: bool) -> None:
    peer = MpPeer(replace(VERSION_0, checksum=checksum), checksum=checksum)
    second = peer.join()
    dss = peer.dss(1, 1, b"hello", checksum=-1 if checksum else 1)
    (reset,) = resets(second.send(ACK | PSH, b"hello", dss=dss))
    assert not found([reset], MpTcprst)
    assert reset.options == ()


def test_a_peer_that_answers_our_data_without_an_option_speaks_tcp() -> None:
    peer = MpPeer(VERSION_0, passive=False, confirm=False)
    peer.script.write(1, b"hello")
    peer.first.send(ACK)
    (last,) = peer.script.write(1, b" world")
    assert last.dss is not None
    assert last.dss.length == 0
    assert not peer.script.host.info(1).is_mptcp


@pytest.mark.parametrize("passive", [True, False], ids=["listener", "initiator"])
def test_both_directions_end_with_a_data_fin(passive: bool) -> None:
    peer = MpPeer(VERSION_0, passive=passive)
    peer.data(b"hello", fin=True)
    assert peer.script.read(peer.id) == b"hello"
    peer.script.write(peer.id, b"answer")
    peer.acked = 7
    peer.first.send(dss=peer.ack())
    peer.script.close(peer.id)
    peer.acked = 8
    peer.first.send(dss=peer.ack())
    peer.script.wait(SECOND)
    assert peer.script.endings() == [None]


def test_keys_keep_what_the_syn_offered() -> None:
    script, _, _ = offered(OFFER)
    assert script.connection(2).keys.offered == KEY
    assert Keys(KEY, 0).offered == b""


def test_losing_an_opening_connection_is_an_ordinary_reset() -> None:
    script, flow = connected()
    script.host.abort(0, 1)
    assert not found(script.turn(), MpCapableAck)
    assert script.endings() == [LossReason.ABORTED]
    assert flow.sent
