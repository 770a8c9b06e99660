"""Games with options: contradictory ones, many of them, more than there is room for."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.attack import ATTACKER, unharmed
from support.script import (
    HOST,
    KEY,
    NONCE,
    PEER,
    PEER_2,
    PORT,
    UNCHECKED,
    MpPeer,
    Script,
    found,
    resets,
)

from plait.host.events import SubflowUp
from plait.mptcp.state import Mode
from plait.wire.mptcp.mp_capable import MpCapableAck, MpCapableSyn, MpCapableSynAck
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.option import Option
from plait.wire.segment import ACK, SYN, Segment
from plait.wire.tcp import parse_tcp


@pytest.mark.rfc("8684", "5", "M8684-5-01")
@pytest.mark.parametrize("first", ["MP_CAPABLE", "MP_JOIN"])
@pytest.mark.parametrize("right", [True, False], ids=["right token", "wrong token"])
def test_a_syn_that_opens_and_joins_does_neither_without_proof(first: str, right: bool) -> None:
    peer = MpPeer()
    flow = peer.script.flow(ATTACKER, 6666)
    both: list[Option] = [
        MpCapableSyn(),
        MpJoinSyn(token=peer.keys.remote_token ^ (not right), nonce=NONCE, address_id=2),
    ]
    answers = flow.send(SYN, options=both if first == "MP_CAPABLE" else both[::-1])
    assert found(answers, MpCapableSynAck) == []
    assert len(found(answers, MpJoinSynAck)) == right
    assert len(resets(answers)) == (not right)
    echo = MpCapableAck(sender_key=KEY, receiver_key=bytes(8))
    if right:
        assert len(resets(flow.send(options=[echo, MpJoinAck(bytes(20))]))) == 1
    assert len(peer.script.heard(SubflowUp)) == 1
    assert len(peer.script.host._connections.by_id) == 1
    assert unharmed(peer)


@pytest.mark.rfc("6181", "5", "T-6181-7")
@pytest.mark.parametrize(
    ("offer", "version"),
    [
        ([MpCapableSyn()], 1),
        ([MpCapableSyn(version=2)], 1),
        ([MpCapableSyn(flags=0x40)], None),
        ([MpCapableSyn(flags=0x03)], 1),
        ([MpCapableSyn(), MpCapableSyn()], None),
        ([MpCapableSyn(flags=0x41)], None),
    ],
    ids=["SHA-256", "a later version", "no SHA-256", "one more algorithm", "two offers", "flag B"],
)
def test_versions_and_algorithms_are_settled_by_what_both_know(
    offer: list[Option], version: int | None
) -> None:
    script = Script(UNCHECKED)
    script.host.listen(0, PORT)
    flow = script.flow(PEER, remote=HOST)
    (answer,) = flow.send(SYN, options=offer)
    options = found([answer], MpCapableSynAck)
    assert [one.version for one in options if isinstance(one, MpCapableSynAck)] == (
        [] if version is None else [version]
    )
    flow.send()
    assert not script.host.info(2).is_mptcp  # the third ACK says nothing
    flow.send(payload=b"plain TCP")
    assert script.read(2) == b"plain TCP"


def on_wire(made: Segment, area: bytes) -> Segment:
    """Return a segment as a host reads it once these octets are its options."""
    area = area.ljust(-(-len(area) // 4) * 4, b"\1")
    head = struct.pack("!IIBBHHH", made.seq, made.ack, 0x50 + 4 * len(area), ACK, 65535, 0, 0)
    return parse_tcp(made.flow, made.flow[8:12] + head + area)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(lambda tail: bytes((30, 2 + len(tail))) + tail, st.binary(max_size=38)),
            st.builds(
                lambda sub, tail: bytes((30, 3 + len(tail), sub << 4)) + tail,
                st.integers(0, 15),
                st.binary(max_size=37),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_forty_octets_of_options_harm_a_connection(parts: list[bytes]) -> None:
    peer = MpPeer()
    second = peer.join(PEER_2)
    area = b"".join(parts)[:40]
    peer.script.receive([on_wire(second.segment(dss=None), area)])
    assert peer.connection.subflows[0].alive
    assert peer.connection.mode is Mode.MPTCP
    assert unharmed(peer)
