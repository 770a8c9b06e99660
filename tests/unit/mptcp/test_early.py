"""Data on the SYN is outside the data sequence space (RFC 8684, appendix B)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from support.script import KEY, PEER, PORT, UNCHECKED, Flow, MpPeer, Script, payload
from support.world import DELAY, FAR, NEAR, World
from support.world import PORT as WORLD_PORT

from plait.host.events import Accepted, Established, Readable
from plait.host.settings import Settings
from plait.mptcp.keys import Keys
from plait.units import SECOND, Nanos
from plait.wire.checksum import dss_checksum
from plait.wire.mptcp.dss import DATA_ACK, DATA_ACK_8, DSN_8, MAPPING, NO_CHECKSUM, Dss
from plait.wire.mptcp.mp_capable import (
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.option import Option
from plait.wire.segment import ACK, SYN, Segment
from plait.wire.seq import wrap64
from plait.wire.tcp_options import FastOpen, Mss

FAST = replace(UNCHECKED, fast_open="both")
COOKIE = b"8octets!"
EARLY = bytes(range(20))


def initiator(settings: Settings = FAST) -> tuple[Script, Flow, int]:
    """Return a host whose SYN with early data is on its way."""
    script = Script(settings)
    script.host._opener._cookie_cache.learn(_pair(script), COOKIE, 1460)
    connection_id = script.host.connect(0, PEER, PORT, data=EARLY)
    (syn,) = script.turn()
    assert payload([syn]) == EARLY
    return script, script.flows[syn.flow], connection_id


def _pair(script: Script) -> bytes:
    return next(iter(script.host._mtus)).packed + PEER.packed


def keys_of(segment: Segment) -> Keys:
    keys = Keys(KEY)
    for option in segment.options:
        if isinstance(option, MpCapableAck | MpCapableData | MpCapableSynAck):
            keys.learn(option.sender_key)
    return keys


@pytest.mark.rfc("8684", "B.2", "M8684-B.2-01")
@pytest.mark.parametrize("acked", [0, 7, 20])
@pytest.mark.rfc("8684", "B.3", "M8684-B.3-01")
@pytest.mark.rfc("8684", "B.3", "M8684-B.3-02")
def test_the_first_mapping_starts_behind_what_the_syn_delivered(acked: int) -> None:
    script, flow, connection_id = initiator(replace(FAST, checksum=True))
    script.host.write(0, connection_id, b"later")
    sent = flow.send(SYN | ACK, ack=1 + acked, options=[MpCapableSynAck(sender_key=KEY)])
    (first,) = (one for one in sent if one.length)
    assert payload([first]) == EARLY[acked:] + b"later"
    assert flow.position(first) == 1 + acked
    (option,) = first.options
    assert isinstance(option, MpCapableData)
    assert option.length == first.length
    idsn = keys_of(first).remote_idsn
    assert option.checksum == dss_checksum(wrap64(1, idsn), 1, first.length, first.payload)
    keys = keys_of(first)
    flow.send(dss=Dss(DATA_ACK | DATA_ACK_8, wrap64(1 + first.length, keys.remote_idsn)))
    (second,) = script.write(connection_id, b"end")
    assert second.dss is not None
    assert second.dss.ssn == 1 + first.length
    assert second.dss.dsn == wrap64(1 + first.length, keys.remote_idsn)
    assert flow.position(second) == 1 + acked + first.length
    assert script.host.info(connection_id).bytes_sent == len(EARLY) + 8


def test_with_nothing_left_the_third_ack_carries_the_keys() -> None:
    script, flow, connection_id = initiator()
    (third,) = flow.send(SYN | ACK, ack=21, options=[MpCapableSynAck(sender_key=KEY)])
    assert third.length == 0
    assert [type(option) for option in third.options] == [MpCapableAck]
    (first,) = script.write(connection_id, b"later")
    assert [type(option) for option in first.options] == [MpCapableData]


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-05")
def test_early_data_alone_is_no_reason_to_fall_back() -> None:
    script, flow, connection_id = initiator()
    flow.send(SYN | ACK, ack=21, options=[MpCapableSynAck(sender_key=KEY)])
    flow.send(ACK, ack=21)
    assert script.host.info(connection_id).is_mptcp


@pytest.mark.parametrize("acked", [0, 7, 20])
def test_a_listener_without_multipath_tcp_gets_all_as_tcp(acked: int) -> None:
    script, flow, connection_id = initiator()
    script.host.write(0, connection_id, b"later")
    sent = flow.send(SYN | ACK, ack=1 + acked)
    assert payload(sent) == EARLY[acked:] + b"later"
    flow.send(ACK, b"answer", ack=26)
    assert script.read(connection_id) == b"answer"
    assert payload(script.write(connection_id, b"more")) == b"more"
    info = script.host.info(connection_id)
    assert (info.is_mptcp, info.bytes_sent, info.bytes_received) == (False, 29, 6)


# ---- the listener


def listener(settings: Settings = FAST) -> tuple[MpPeer, Flow, Segment]:
    """Return a peer whose SYN with early data was answered."""
    peer = MpPeer(settings)
    cookie = peer.script.host._opener._fast_open.make(0, PEER.packed)
    flow = peer.script.flow(local_port=41000)
    offer: list[Option] = [Mss(1460), MpCapableSyn(flags=peer.flags), FastOpen(cookie)]
    (answer,) = flow.send(SYN, EARLY, options=offer)
    return peer, flow, answer


@pytest.mark.rfc("8684", "B.2", "M8684-B.2-01")
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("form", ["MP_CAPABLE", "DSS"])
def test_the_peers_first_mapping_starts_behind_its_syns_data(checksum: bool, form: str) -> None:
    peer, flow, answer = listener(replace(FAST, checksum=checksum))
    assert flow.acked(answer) == 21
    connection_id = peer.script.heard(Accepted)[-1].connection_id
    assert peer.script.heard(Readable)[-1].connection_id == connection_id
    assert peer.script.read(connection_id) == EARLY
    keys = keys_of(answer)
    flags = peer._agreed()
    capable = MpCapableAck(flags=flags, sender_key=KEY, receiver_key=keys.remote)
    data = b"mapped"
    dsn = wrap64(1, keys.local_idsn)
    checked = dss_checksum(dsn, 1, 6, (data,)) if checksum else NO_CHECKSUM
    if form == "DSS":
        flow.send(options=[capable])
        flow.send(ACK, data, dss=Dss(MAPPING | DSN_8, 0, dsn, 1, 6, checked))
    else:
        option = MpCapableData(
            flags=flags, sender_key=KEY, receiver_key=keys.remote, length=6, checksum=checked
        )
        flow.send(ACK, data, options=[option])
    assert peer.script.read(connection_id) == data
    assert flow.sent[-1].dss is not None
    assert flow.sent[-1].dss.data_ack == wrap64(7, keys.local_idsn)
    info = peer.script.host.info(connection_id)
    assert (info.is_mptcp, info.bytes_received) == (True, 26)


@pytest.mark.rfc("8684", "B.1", "M8684-B.1-01")
def test_key_and_cookie_fit_on_a_syn_ack() -> None:
    peer = MpPeer(replace(FAST, timestamps=True))
    flow = peer.script.flow(local_port=41000)
    (answer,) = flow.send(SYN, options=[Mss(1460), MpCapableSyn(), FastOpen()], ts_val=1)
    assert {MpCapableSynAck, FastOpen} <= {type(option) for option in answer.options}


def test_a_reply_waits_for_the_peers_key() -> None:
    peer, flow, answer = listener()
    connection_id = peer.script.heard(Accepted)[-1].connection_id
    assert peer.script.write(connection_id, b"reply") == []
    keys = keys_of(answer)
    sent = flow.send(options=[MpCapableAck(sender_key=KEY, receiver_key=keys.remote)])
    assert payload(sent) == b"reply"
    assert sent[-1].dss is not None
    assert (sent[-1].dss.ssn, sent[-1].dss.dsn) == (1, wrap64(1, keys.remote_idsn))


def test_falling_back_at_the_third_ack_keeps_the_stream() -> None:
    peer, flow, _ = listener()
    connection_id = peer.script.heard(Accepted)[-1].connection_id
    flow.send(ACK, b" as TCP")
    assert peer.script.read(connection_id) == EARLY + b" as TCP"
    assert payload(peer.script.write(connection_id, b"reply")) == b"reply"
    assert not peer.script.host.info(connection_id).is_mptcp


def test_closed_before_the_third_ack() -> None:
    peer, flow, answer = listener()
    connection_id = peer.script.heard(Accepted)[-1].connection_id
    assert peer.script.close(connection_id) == []
    keys = keys_of(answer)
    sent = flow.send(options=[MpCapableAck(sender_key=KEY, receiver_key=keys.remote)])
    assert any(one.dss is not None and one.dss.length == 1 for one in sent)


# ---- both

STREAM = bytes(range(256)) * 300


def fast_world(settings: Settings, cookie: bytes = b"") -> World:
    """Return a world whose initiator knows the listener's cookie, or believes to."""
    world = World(settings, near=NEAR)
    made = world.listener.host._opener._fast_open.make(0, NEAR[0].packed)
    pair = NEAR[0].packed + FAR[0].packed
    world.initiator.host._opener._cookie_cache.learn(pair, cookie or made, 1460)
    return world


def converse(world: World, early: int) -> None:
    """Connect with early data; both streams must arrive octet for octet."""
    near, far = world.initiator, world.listener
    near.connection_id = near.host.connect(0, FAR[0], WORLD_PORT, data=STREAM[:early])
    near.to_send, far.to_send = STREAM[early:], STREAM[::-1]
    world.run(600 * SECOND)
    assert bytes(far.received) == STREAM
    assert bytes(near.received) == STREAM[::-1]
    assert all(end.empty for end in world.ends)


MODES = {"MPTCP": True, "TCP": False}


@pytest.mark.rfc("7413", "4.2", "B7413-01")
@pytest.mark.parametrize("mptcp", MODES.values(), ids=MODES.keys())
@pytest.mark.parametrize(("early", "checksum"), list(product([1, 1000, 5000], [True, False])))
def test_both_streams_arrive(mptcp: bool, early: int, checksum: bool) -> None:
    world = fast_world(Settings(fast_open="both", mptcp=mptcp, checksum=checksum))
    converse(world, early)
    opened = [now for now, event in world.listener.events if isinstance(event, Accepted)]
    assert opened == [DELAY]
    assert world.initiator.host.counters.tcp_fast_open_active == 1


@pytest.mark.parametrize("mptcp", MODES.values(), ids=MODES.keys())
def test_both_streams_arrive_in_spite_of_a_wrong_cookie(mptcp: bool) -> None:
    world = fast_world(Settings(fast_open="both", mptcp=mptcp), b"wrong!")
    converse(world, 1000)
    assert world.initiator.host.counters.tcp_fast_open_active_fail == 1


@pytest.mark.parametrize("mptcp", MODES.values(), ids=MODES.keys())
@pytest.mark.parametrize(("side", "lost"), list(product([0, 1], range(5))))
def test_any_early_segment_may_be_lost(mptcp: bool, side: int, lost: int) -> None:
    world = fast_world(Settings(fast_open="both", mptcp=mptcp))
    count = -1

    def hook(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        nonlocal count
        count += 1
        return [] if count == lost else [(0, segment)]

    world.ends[side].line.hook = hook
    converse(world, 1000)
    assert len(world.listener.heard(Accepted)) == len(world.initiator.heard(Established)) == 1


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-13")
@pytest.mark.parametrize("mptcp", MODES.values(), ids=MODES.keys())
@pytest.mark.parametrize("timestamps", [True, False])
def test_both_streams_arrive_over_syn_cookies(mptcp: bool, timestamps: bool) -> None:
    world = World(Settings(syn_cookies="always", mptcp=mptcp, timestamps=timestamps))
    converse(world, 1000)
    counters = world.listener.host.counters
    assert (counters.syncookies_recv, counters.mp_join_ack_rx) == (1, int(mptcp))
