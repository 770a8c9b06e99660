"""Two hosts and the versions they speak (RFC 8684, 3.1; RFC 6824, 3.1)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.script import KEY, NONCE, PEER_2, PORT, UNCHECKED, MpPeer, Script
from support.world import FAR, NEAR, World, mapped

from plait.errors import UnknownNameError
from plait.host.events import SubflowUp
from plait.host.settings import Settings
from plait.host.syn_cookies import CANDIDATES
from plait.mptcp import priorities
from plait.mptcp.handshake import SERVED
from plait.units import MILLISECOND, SECOND
from plait.wire.crypto import KEY_OCTETS, Entropy, token
from plait.wire.mptcp.mp_capable import (
    HMAC_SHA256,
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_join import MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.mp_tcprst import MpTcprst
from plait.wire.option import Option
from plait.wire.segment import ACK, RST, SYN, Segment

DATA = bytes(range(256)) * 800
V0 = Settings(mptcp_versions="v0")
BOTH = Settings(mptcp_versions="both")
NAMES = ("v1", "v0", "both")
TWO = (*FAR, ip_address("10.0.2.2"))


def speaking(name: str) -> Settings:
    return replace(UNCHECKED, mptcp_versions=name)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        Settings(mptcp_versions="v2")


@pytest.mark.rfc("8684", "5", "T-x-1")
def test_version_0_has_to_be_asked_for() -> None:
    assert [version.number for version in SERVED[Settings().mptcp_versions]] == [1]


# ---- listeners


OFFERS: dict[str, tuple[Option, tuple[int | None, ...]]] = {
    "12 octets, version 0": (MpCapableSynAck(version=0, sender_key=KEY), (None, 0, 0)),
    "4 octets, version 1": (MpCapableSyn(version=1), (1, None, 1)),
    "4 octets, version 2": (MpCapableSyn(version=2), (1, None, 1)),
    "12 octets, version 1": (MpCapableSynAck(version=1, sender_key=KEY), (None, None, None)),
    "4 octets, version 0": (MpCapableSyn(version=0), (None, None, None)),
    "20 octets, version 0": (
        MpCapableAck(version=0, sender_key=KEY, receiver_key=KEY),
        (None, None, None),
    ),
}


@pytest.mark.rfc("6824", "3.1", "M6824-x-02")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-03")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-04")
@pytest.mark.parametrize(("offer", "answers"), OFFERS.values(), ids=OFFERS.keys())
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cookies", ["never", "always"])
def test_what_a_listener_answers(
    offer: Option, answers: tuple[int | None, ...], name: str, cookies: str
) -> None:
    script = Script(replace(speaking(name), syn_cookies=cookies))
    script.host.listen(0, PORT)
    (answer,) = script.flow().send(SYN, options=[offer])
    found = [one for one in answer.options if isinstance(one, MpCapableSynAck)]
    wanted = answers[NAMES.index(name)]
    assert [(one.version, one.flags) for one in found] == (
        [] if wanted is None else [(wanted, HMAC_SHA256)]
    )


@pytest.mark.rfc("6824", "3.1", "M6824-x-01")
def test_one_listener_has_connections_of_both_versions() -> None:
    script = Script(speaking("both"))
    script.host.listen(0, PORT)
    offers = (MpCapableSynAck(version=0, sender_key=KEY), MpCapableSyn())
    for version, offer in enumerate(offers):
        flow = script.flow(local_port=40000 + version)
        (answer,) = flow.send(SYN, options=[offer])
        (given_key,) = [one for one in answer.options if isinstance(one, MpCapableSynAck)]
        local = given_key.sender_key
        echo = MpCapableAck(version=version, sender_key=KEY, receiver_key=local)
        flow.send(ACK, options=[echo])
        assert script.host.info(2 + version).version == version
        assert script.host.info(2 + version).token == token(local, version)
        for number in (0, 1):
            syn = MpJoinSyn(token=token(local, number), nonce=NONCE, address_id=2)
            join = script.flow(PEER_2, 50000 + 10 * version + number)
            (reply,) = join.send(SYN, options=[syn])
            assert bool(reply.flags & RST) is (number != version)


@pytest.mark.rfc("6824", "3.1", "M6824-x-01")
@pytest.mark.parametrize("version", [0, 1])
def test_the_third_ack_is_of_the_version_of_the_syn(version: int) -> None:
    script = Script(speaking("both"))
    script.host.listen(0, PORT)
    offers = (MpCapableSynAck(version=0, sender_key=KEY), MpCapableSyn())
    flow = script.flow()
    (answer,) = flow.send(SYN, options=[offers[version]])
    (given_key,) = [one for one in answer.options if isinstance(one, MpCapableSynAck)]
    wrong = MpCapableAck(version=1 - version, sender_key=KEY, receiver_key=given_key.sender_key)
    flow.send(ACK, options=[wrong])
    assert not script.host.info(2).is_mptcp


class Scripted(Entropy):
    """Entropy whose keys are given."""

    def __init__(self, keys: list[bytes]) -> None:
        super().__init__(bytes(32))
        self.keys = keys

    def octets(self, length: int) -> bytes:
        return self.keys.pop(0) if length == KEY_OCTETS else super().octets(length)


@pytest.mark.rfc("6824", "3.1", "M6824-x-01")
@pytest.mark.parametrize("name", ["v0", "v1"])
def test_a_key_whose_token_is_taken_is_drawn_again(name: str) -> None:
    script = Script(speaking(name))
    script.host._opener.entropy = Scripted([b"same key", b"same key", b"the next"])
    for port in (1, 2):
        script.host.connect(0, FAR[0], port)
    assert [script.connection(number).keys.local for number in (1, 2)] == [b"same key", b"the next"]


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-03")
@pytest.mark.parametrize("name", ["v0", "v1"])
def test_a_stateless_answer_has_no_key_whose_token_is_taken(name: str) -> None:
    script = Script(replace(speaking(name), syn_cookies="always"))
    script.host.listen(0, PORT)
    version = SERVED[name][0]
    flow = script.flow()
    offer = version.offer(KEY, HMAC_SHA256)
    (other,) = MpPeer(UNCHECKED).script.host._connections.by_id.values()
    found = []
    for _ in range(CANDIDATES + 1):
        (answer,) = flow.send(SYN, seq=0, options=[offer])
        keys = [one.sender_key for one in answer.options if isinstance(one, MpCapableSynAck)]
        found += keys
        for key in keys:
            script.host._connections.by_token[token(key, version.number)] = other
    assert len(found) == len(set(found)) == CANDIDATES


# ---- initiators


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-02")
@pytest.mark.rfc("8684", "E", "M8684-E-01")
@pytest.mark.parametrize(("name", "version"), [("v1", 1), ("v0", 0), ("both", 1)])
def test_what_an_initiator_offers(name: str, version: int) -> None:
    script = Script(speaking(name))
    script.host.connect(0, ip_address("10.0.1.2"), PORT)
    (syn,) = script.turn()
    (offer,) = [one for one in syn.options if isinstance(one, MpCapableSyn | MpCapableSynAck)]
    assert (offer.version, isinstance(offer, MpCapableSyn)) == (version, version == 1)


SPOKEN = {
    ("v1", "v1"): 1,
    ("v1", "v0"): None,
    ("v1", "both"): 1,
    ("v0", "v1"): None,
    ("v0", "v0"): 0,
    ("v0", "both"): 0,
    ("both", "v1"): 1,
    ("both", "v0"): None,
    ("both", "both"): 1,
}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-04")
@pytest.mark.parametrize(("pair", "version"), SPOKEN.items())
def test_what_two_hosts_speak(pair: tuple[str, str], version: int | None) -> None:
    one, other = (Settings(mptcp_versions=name) for name in pair)
    world = World(one, other)
    for end in world.ends:
        end.to_send, end.finish = DATA, False
    world.connect()
    world.run(5 * SECOND)
    for end in world.ends:
        assert bytes(end.received) == DATA
        assert end.host.info(end.connection_id).version == version
        assert len(end.heard(SubflowUp)) == (1 if version is None else 2)


# ---- whole connections of version 0


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-02")
@pytest.mark.parametrize("checksum", [True, False])
def test_nothing_of_version_1_is_sent(checksum: bool) -> None:
    world = World(replace(V0, checksum=checksum), far=TWO)
    world.transfer(4 * DATA, back=DATA)
    sent = [segment for end in world.ends for _, segment in end.line.sent]
    options = [option for segment in sent for option in segment.options]
    assert not [one for one in options if isinstance(one, MpCapableData | MpTcprst | MpCapableSyn)]
    assert {getattr(option, "version", 0) for option in options} == {0}
    assert len(world.initiator.heard(SubflowUp)) == 4
    assert len({segment.flow for segment in mapped(world.initiator)}) > 1


@settings(max_examples=25, deadline=None)
@given(
    loss=st.sampled_from([0, 0, 0.02, 0.1]),
    seed=st.integers(0, 1 << 30),
    names=st.sampled_from([("v0", "v0"), ("v0", "both"), ("both", "v0")]),
    checksum=st.booleans(),
    octets=st.integers(0, 60_000),
)
def test_streams_are_whole_whatever_is_lost(
    loss: float, seed: int, names: tuple[str, str], checksum: bool, octets: int
) -> None:
    one, other = (Settings(mptcp_versions=name, checksum=checksum) for name in names)
    world = World(one, other, far=TWO, whole=False)
    draw = Entropy(seed.to_bytes(4, "big"))

    def hook(_now: int, segment: Segment) -> list[tuple[int, Segment]]:
        if draw.below(1000) < loss * 1000:
            return []
        return [(draw.below(3 * MILLISECOND), segment)]

    for end in world.ends:
        end.line.hook = hook
    world.transfer(DATA[:octets], back=DATA[: octets // 2])
    world.run(300 * SECOND)
    assert world.initiator.empty
    assert world.listener.empty


@pytest.mark.rfc("6824", "3.1", "M6824-3.1-04")
@pytest.mark.parametrize("number", range(4))
def test_the_stream_survives_the_loss_of_a_packet_of_the_handshake(number: int) -> None:
    world = World(V0, near=NEAR[:1])
    left = number

    def hook(_now: int, segment: Segment) -> list[tuple[int, Segment]]:
        nonlocal left
        left -= 1
        return [(0, segment)] if left != -1 else []

    world.initiator.line.hook = hook
    world.transfer(DATA, back=DATA)
    world.run(300 * SECOND)
    assert world.initiator.empty


@pytest.mark.parametrize("cookies", ["never", "always"])
@pytest.mark.parametrize("name", ["v0", "both"])
def test_syn_cookies_keep_version_0(cookies: str, name: str) -> None:
    world = World(V0, Settings(mptcp_versions=name, syn_cookies=cookies))
    world.start()
    info = world.listener.host.info(world.listener.connection_id)
    assert (info.version, len(info.subflows)) == (0, 2)


@pytest.mark.parametrize("name", ["v0", "v1"])
def test_fast_open_is_of_version_1_and_tcp(name: str) -> None:
    world = World(Settings(mptcp_versions=name, fast_open="both"))
    world.transfer(b"first")
    before = len(world.initiator.line.sent)
    host = world.initiator.host
    host.connect(world.now, FAR[0], PORT, data=b"second")
    world.run(SECOND)
    syns = [segment for _, segment in world.initiator.line.sent[before:] if segment.flags & SYN]
    assert bool(syns[0].length) is (name == "v1")


def test_priorities_cross_between_hosts() -> None:
    world = World(V0)
    world.start()
    connection = world.initiator.connection
    first, second = connection.subflows
    second.tcp.sender.backoff = 1
    priorities.set_backup(connection, world.now, second, backup=True)
    second.tcp.sender.backoff = 0
    world.initiator.host.write(world.now, world.initiator.connection_id, b"x")
    world.run(SECOND)
    carriers = [
        segment.flow
        for _, segment in world.initiator.line.sent
        if MpPrio(backup=True, address_id=second.local_id) in segment.options
    ]
    assert carriers == [first.path.flow_out()]
    assert [subflow.backup for subflow in world.listener.connection.subflows] == [False, True]


def test_joins_of_version_0_are_proven_by_sha_1() -> None:
    world = World(V0)
    world.start()
    keys = world.listener.connection.keys
    joining = world.listener.connection.subflows[1]
    (option,) = [
        option
        for _, segment in world.listener.line.sent
        for option in segment.options
        if isinstance(option, MpJoinSynAck)
    ]
    proof = keys.sent_hmac(joining.local_nonce, joining.remote_nonce)
    assert (len(proof), option.hmac) == (20, proof[:8])
