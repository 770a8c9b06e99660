"""MP_CAPABLE in both roles, row by row (RFC 8684, 3.1)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from support.script import (
    BARE,
    HOST_2,
    KEY,
    PEER,
    PORT,
    UNCHECKED,
    Flow,
    MpPeer,
    Script,
    payload,
)

from plait.errors import UsageError
from plait.host.events import Accepted, Established
from plait.host.settings import Settings
from plait.units import SECOND
from plait.wire.crypto import idsn, token
from plait.wire.mptcp.dss import DATA_ACK, DATA_ACK_8, DSN_8, MAPPING
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
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.option import Option
from plait.wire.segment import ACK, PSH, SYN, Segment
from plait.wire.seq import wrap64

CAPABLE = (MpCapableSyn, MpCapableSynAck, MpCapableAck, MpCapableData)
ALL_ON = replace(BARE, checksum=True)


def capable(segment: Segment) -> list[Option]:
    return [option for option in segment.options if isinstance(option, CAPABLE)]


def is_plain(segments: list[Segment]) -> bool:
    """Return whether nothing here speaks Multipath TCP."""
    return all(segment.dss is None and not capable(segment) for segment in segments)


def offered(flags: int | None, version: int = 1) -> tuple[Script, Flow, Segment]:
    """Return what a listener answers to a SYN with this offer, None being none."""
    script = Script(UNCHECKED)
    script.host.listen(0, PORT)
    flow = script.flow()
    options = [] if flags is None else [MpCapableSyn(version=version, flags=flags)]
    (answer,) = flow.send(SYN, options=options)
    return script, flow, answer


# ---- listener


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-07")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-33")
def test_the_listener_gives_its_key_and_knows_its_token() -> None:
    script, _, answer = offered(HMAC_SHA256)
    (option,) = capable(answer)
    assert isinstance(option, MpCapableSynAck)
    connection = script.connection(2)
    assert option.sender_key == connection.keys.local
    assert connection.keys.local_token == token(option.sender_key)
    assert connection.keys.local_idsn == idsn(option.sender_key)


OFFERS = {
    "none": (None, 1, False),
    "version 1": (HMAC_SHA256, 1, True),
    "version 2": (HMAC_SHA256, 2, True),
    "version 0 without a key": (HMAC_SHA256, 0, False),
    "flag B": (HMAC_SHA256 | EXTENSIBILITY, 1, False),
    "no algorithm": (0, 1, False),
    "an unknown algorithm": (0x02, 1, False),
    "one known, one not": (HMAC_SHA256 | 0x02, 1, True),
    "flag A": (HMAC_SHA256 | CHECKSUM_REQUIRED, 1, True),
}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-03")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-26")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-30")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-31")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-32")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-38")
@pytest.mark.parametrize(("flags", "version", "taken"), OFFERS.values(), ids=OFFERS.keys())
def test_what_the_listener_makes_of_an_offer(flags: int | None, version: int, taken: bool) -> None:
    _, _, answer = offered(flags, version)
    options = capable(answer)
    assert bool(options) is taken
    for option in options:
        assert isinstance(option, MpCapableSynAck)
        assert (option.version, option.flags & 0x1F) == (1, HMAC_SHA256)


def test_two_offers_at_once_are_none() -> None:
    script = Script(UNCHECKED)
    script.host.listen(0, PORT)
    (answer,) = script.flow().send(SYN, options=[MpCapableSyn(), MpCapableSyn()])
    assert is_plain([answer])


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-44")
def test_a_repeated_syn_ack_repeats_the_key() -> None:
    script, flow, answer = offered(HMAC_SHA256)
    again = flow.send(SYN, seq=0, options=[MpCapableSyn()]) + script.wait(4 * SECOND)
    assert len(again) == 3
    assert {repr(capable(segment)) for segment in again} == {repr(capable(answer))}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-39")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-42")
@pytest.mark.parametrize("data", [b"", b"hello"])
def test_a_third_packet_without_the_option_means_tcp(data: bytes) -> None:
    script, flow, _ = offered(HMAC_SHA256)
    sent = flow.send(ACK, data)
    sent += script.write(2, b"answer")
    assert is_plain(sent)
    assert payload(sent) == b"answer"
    assert script.read(2) == (data or None)
    assert not script.host.info(2).is_mptcp


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-22")
def test_a_third_packet_with_another_echoed_key_means_tcp() -> None:
    script, flow, _ = offered(HMAC_SHA256)
    wrong = MpCapableAck(sender_key=KEY, receiver_key=bytes(8))
    sent = flow.send(ACK, options=[wrong])
    assert is_plain(sent + script.write(2, b"answer"))


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-16")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-17")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-19")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-20")
@pytest.mark.parametrize("third_ack", [True, False], ids=["after it", "instead of it"])
@pytest.mark.parametrize("settings", [BARE, UNCHECKED], ids=["checksum", "no checksum"])
def test_first_data_with_mp_capable_is_taken_as_mapped(settings: Settings, third_ack: bool) -> None:
    peer = MpPeer(settings, confirm=third_ack)
    (answer,) = peer.first.send(ACK | PSH, b"hello", options=[peer.capable_data(b"hello")])
    assert peer.data_acked(answer) == 6
    assert answer.dss is not None
    assert answer.dss.flags == DATA_ACK | DATA_ACK_8
    assert peer.script.read(2) == b"hello"
    assert peer.script.host.info(2).is_mptcp


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-21")
@pytest.mark.parametrize("form", ["MP_CAPABLE", "DSS"])
def test_first_data_may_come_again_in_either_form(form: str) -> None:
    peer = MpPeer()
    peer.first.send(ACK, b"hello", options=[peer.capable_data(b"hello")])
    peer.dsn = 6
    peer.data(b" world")
    if form == "DSS":
        again = peer.first.send(ACK, b"hello", seq=1, dss=peer.dss(1, 1, b"hello"))
    else:
        again = peer.first.send(ACK, b"hello", seq=1, options=[peer.capable_data(b"hello")])
    assert peer.data_acked(again[-1]) == 12
    assert peer.script.read(2) == b"hello world"


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-22")
def test_first_data_stripped_of_its_option_means_tcp_and_the_stream_is_whole() -> None:
    peer = MpPeer()
    answers = peer.first.send(ACK, b"hello")
    answers += peer.first.send(ACK, b" world")
    assert peer.script.read(2) == b"hello world"
    assert payload(peer.script.write(2, b"answer")) == b"answer"
    assert not peer.script.host.info(2).is_mptcp


# ---- initiator


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-02")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-07")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-24")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-25")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-29")
@pytest.mark.parametrize(("checksum", "flags"), [(True, 0x81), (False, 0x01)])
def test_the_offer(checksum: bool, flags: int) -> None:
    script = Script(replace(BARE, checksum=checksum))
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    assert capable(syn) == [MpCapableSyn(version=1, flags=flags)]


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-15")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-18")
def test_without_data_keys_go_on_every_ack_until_confirmed_and_then_on_the_data() -> None:
    peer = MpPeer(passive=False, confirm=False)
    third = peer.first.sent[-1]
    keys = MpCapableAck(flags=1, sender_key=peer.keys.remote, receiver_key=KEY)
    assert capable(third) == [keys]
    (data,) = peer.script.write(1, b"hello")
    (option,) = capable(data)
    assert isinstance(option, MpCapableData)
    assert (option.length, option.sender_key, option.receiver_key) == (5, peer.keys.remote, KEY)
    assert data.dss is None


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-17")
def test_with_data_at_hand_the_third_ack_carries_it() -> None:
    script = Script(UNCHECKED)
    script.host.connect(0, PEER, PORT)
    script.host.write(0, 1, b"early")
    (syn,) = script.turn()
    flow = script.flows[syn.flow]
    (third,) = flow.send(SYN | ACK, options=[MpCapableSynAck(sender_key=KEY)])
    assert payload([third]) == b"early"
    assert isinstance(capable(third)[0], MpCapableData)


@pytest.mark.rfc("8684", "4", "M8684-4-04")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-43")
def test_data_starts_one_after_the_idsn() -> None:
    peer = MpPeer(passive=False)
    (data,) = peer.script.write(1, b"hello")
    assert data.dss is not None
    assert data.dss.flags & (MAPPING | DSN_8) == MAPPING | DSN_8
    assert data.dss.dsn == wrap64(1, peer.keys.remote_idsn)
    assert (data.dss.ssn, data.dss.length) == (1, 5)


def test_lost_first_data_comes_again_with_the_same_option() -> None:
    peer = MpPeer(passive=False, confirm=False)
    (data,) = peer.script.write(1, b"hello")
    again = peer.script.wait(2 * SECOND)
    assert again
    assert {repr(capable(segment)) for segment in again} == {repr(capable(data))}


SYN_ACKS: dict[str, list[Option]] = {
    "none": [],
    "flag B": [MpCapableSynAck(sender_key=KEY, flags=HMAC_SHA256 | EXTENSIBILITY)],
    "no algorithm": [MpCapableSynAck(sender_key=KEY, flags=0)],
    "two algorithms": [MpCapableSynAck(sender_key=KEY, flags=HMAC_SHA256 | 0x02)],
    "version 0": [MpCapableSynAck(sender_key=KEY, version=0)],
    "without a key": [MpCapableSyn()],
}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-08")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-37")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-01")
@pytest.mark.parametrize("options", SYN_ACKS.values(), ids=SYN_ACKS.keys())
def test_a_syn_ack_without_a_good_option_means_tcp(options: list[Option]) -> None:
    script = Script(BARE)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    flow = script.flows[syn.flow]
    sent = flow.send(SYN | ACK, options=options)
    sent += script.write(1, b"hello")
    assert is_plain(sent)
    assert payload(sent) == b"hello"
    flow.send(ACK, b"answer")
    assert script.read(1) == b"answer"
    assert script.host.info(1).fallback_reason is not None


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-40")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-41")
@pytest.mark.rfc("8684", "3.9.3", "M8684-3.9.3-01")
def test_after_three_unanswered_offers_the_syn_is_plain() -> None:
    script = Script(BARE)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    flow = script.flows[syn.flow]
    script.wait(10 * SECOND)
    assert [bool(capable(one)) for one in flow.sent] == [True, True, True, False]
    flow.send(SYN | ACK)
    assert script.heard(Established)
    assert is_plain(script.write(1, b"hello"))


def test_a_late_answer_to_the_offer_still_counts_after_a_plain_syn() -> None:
    script = Script(BARE)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    script.wait(10 * SECOND)
    (third,) = script.flows[syn.flow].send(SYN | ACK, options=[MpCapableSynAck(sender_key=KEY)])
    assert isinstance(capable(third)[0], MpCapableAck)


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-45")
def test_simultaneous_open_is_plain_tcp() -> None:
    script = Script(BARE)
    script.host.connect(0, PEER, PORT)
    (syn,) = script.turn()
    flow = script.flows[syn.flow]
    flow.send(SYN, options=[MpCapableSyn()])
    flow.send(ACK)
    assert script.heard(Established)
    assert is_plain(script.write(1, b"hello"))


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-06")
@pytest.mark.parametrize("data", [b"", b"answer"], ids=["ACK", "data"])
def test_an_answer_without_any_option_ends_it_with_an_infinite_mapping(data: bytes) -> None:
    peer = MpPeer(passive=False, confirm=False)
    peer.script.write(1, b"hello")
    peer.first.send(ACK, data)
    (last,) = peer.script.write(1, b" world")
    assert last.dss is not None
    assert (last.dss.flags & DATA_ACK, last.dss.length) == (0, 0)
    peer.first.send(ACK)
    assert is_plain(peer.script.write(1, b"!"))
    assert payload(peer.first.sent) == b"hello world!"
    assert peer.script.read(1) == (data or None)


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-34")
@pytest.mark.parametrize(("ours", "theirs"), list(product([True, False], repeat=2)))
@pytest.mark.parametrize("passive", [True, False], ids=["listener", "initiator"])
def test_checksums_are_used_if_either_side_asks(passive: bool, ours: bool, theirs: bool) -> None:
    settings = replace(BARE, checksum=ours)
    peer = MpPeer(settings, passive=passive, checksum=theirs)
    used = ours or theirs
    assert peer.script.host.info(peer.id).csum_enabled is used
    if passive:
        peer.data(b"hello")
    (segment,) = peer.script.write(peer.id, b"hello")
    assert segment.dss is not None
    assert (segment.dss.checksum >= 0) is used
    if not passive:
        (option,) = capable(peer.first.sent[1])
        assert isinstance(option, MpCapableAck)
        assert bool(option.flags & CHECKSUM_REQUIRED) is used


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-23")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-36")
def test_no_join_before_the_first_dss() -> None:
    peer = MpPeer(replace(UNCHECKED, path_manager="fullmesh"), passive=False, confirm=False)
    assert not any(segment.flags & SYN for segment in peer.script.write(1, b"hello"))
    (join,) = [one for one in peer.first.send(dss=peer.ack()) if one.flags & SYN]
    assert [type(option) for option in join.options][-1] is MpJoinSyn
    assert join.flow[:4] == HOST_2.packed


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-27")
def test_no_join_to_an_address_that_refuses_them() -> None:
    mesh = replace(UNCHECKED, path_manager="fullmesh")
    refused, taken = (
        MpPeer(mesh, passive=False, flags=HMAC_SHA256 | flag) for flag in (DENY_JOIN_ID0, 0)
    )
    assert len(refused.script.flows) == 1
    assert len(taken.script.flows) == 2


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-09")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-11")
def test_keys_and_tokens_are_unique() -> None:
    script = Script(BARE)
    for port in range(500):
        script.host.connect(0, PEER, 1 + port)
    known = script.host._connections
    assert len(known.by_token) == 500
    assert len({entry.connection.keys.local for entry in known.by_id.values()}) == 500


def test_accepted_comes_with_the_third_packet() -> None:
    script, flow, _ = offered(HMAC_SHA256)
    assert script.heard(Accepted) == []
    flow.send(ACK)
    assert script.heard(Accepted) == [Accepted(2, 1)]


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-35")
@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("passive", [True, False], ids=["listener", "initiator"])
def test_a_host_that_wants_no_checksums_is_plain_tcp_to_a_peer_that_asks(
    passive: bool, asked: bool
) -> None:
    settings = replace(UNCHECKED, accept_checksum=False)
    if not (asked and passive):
        peer = MpPeer(settings, passive=passive, checksum=asked, confirm=not asked)
        assert peer.script.host.info(peer.id).is_mptcp is not asked
        return
    script = Script(settings)
    script.host.listen(0, PORT)
    flow = script.flow()
    (answer,) = flow.send(SYN, options=[MpCapableSyn(flags=HMAC_SHA256 | CHECKSUM_REQUIRED)])
    assert capable(answer) == []
    flow.send(ACK, b"plain")
    assert script.read(2) == b"plain"


def test_a_host_cannot_both_ask_for_checksums_and_refuse_them() -> None:
    with pytest.raises(UsageError, match="accept_checksum"):
        Settings(checksum=True, accept_checksum=False)


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-12")
def test_keys_come_from_the_randomness_that_the_caller_gives() -> None:
    def key(seed: bytes) -> bytes:
        return MpPeer(seed=seed).keys.remote

    assert key(b"one") == key(b"one") != key(b"two")
