"""Snapshots: the numbers of struct mptcp_info, in both roles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import PEER_2, UNCHECKED, MpPeer, TcpPeer
from support.world import FAR, NEAR, End, World

from plait.host.settings import Settings
from plait.mptcp.info import ConnectionInfo
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.segment import Segment
from plait.wire.seq import wrap64

QUIET = replace(UNCHECKED, path_manager="default")
both_roles = pytest.mark.parametrize("passive", [True, False], ids=["listener", "initiator"])


def info(end: End, world: World) -> ConnectionInfo:
    return end.host.info(end.connection_id, world.now)


def peer_info(peer: MpPeer) -> ConnectionInfo:
    return peer.script.host.info(peer.id, peer.script.now)


def test_both_ends_agree_on_where_the_streams_are() -> None:
    world = World(Settings(path_manager="fullmesh", max_subflows=6))
    world.start()
    world.initiator.to_send = bytes(100_000)
    world.listener.to_send = bytes(30_000)
    world.run(SECOND)
    near, far = (info(end, world) for end in world.ends)
    for one, other, sent in ((near, far, 100_000), (far, near, 30_000)):
        assert one.write_seq == one.snd_una == other.rcv_nxt
        assert (one.bytes_sent, one.bytes_acked, other.bytes_received) == (sent, sent, sent)
        assert (one.subflows_total, one.extra_subflows, one.subflows_max) == (2, 1, 5)
        assert (one.fallback, one.remote_key_received, one.csum_enabled) == (False, True, True)
        assert (one.retransmits, one.bytes_retrans) == (0, 0)
    assert (near.local_addr_used, near.local_addr_max) == (1, len(NEAR) - 1)
    assert far.local_addr_used == 0


@both_roles
def test_sequence_numbers_are_those_on_the_wire(passive: bool) -> None:
    peer = MpPeer(QUIET, passive=passive)
    keys = peer.connection.keys
    peer.script.write(peer.id, b"seven..")
    peer.data(b"three")
    told = peer_info(peer)
    assert told.write_seq == wrap64(8, keys.local_idsn)
    assert told.snd_una == wrap64(1, keys.local_idsn)
    assert told.rcv_nxt == wrap64(6, keys.remote_idsn)
    assert (told.bytes_sent, told.bytes_acked, told.bytes_received) == (7, 0, 5)
    peer.data_fin()
    peer.script.close(peer.id)
    assert peer_info(peer).rcv_nxt == wrap64(7, keys.remote_idsn)
    assert peer_info(peer).write_seq == wrap64(9, keys.local_idsn)


@both_roles
def test_silence_is_counted_in_milliseconds(passive: bool) -> None:
    peer = MpPeer(QUIET, passive=passive)
    script = peer.script
    script.now += 100 * MILLISECOND
    peer.data(b"came")
    script.now += 30 * MILLISECOND
    script.write(peer.id, b"left")
    script.now += 20 * MILLISECOND
    peer.acked += 4
    peer.first.send(dss=peer.ack())
    script.now += 5 * MILLISECOND
    told = peer_info(peer)
    assert (told.last_data_sent, told.last_data_recv, told.last_ack_recv) == (25, 55, 5)
    early = script.host.info(peer.id)
    assert (early.last_data_sent, early.last_data_recv, early.last_ack_recv) == (20, 50, 0)


@both_roles
def test_addresses_are_counted(passive: bool) -> None:
    settings = replace(QUIET, advertise="10.0.9.1:8443, 10.0.9.2", max_addresses=5)
    peer = MpPeer(settings, passive=passive)
    told = peer_info(peer)
    assert (told.add_addr_signal, told.add_addr_signal_max) == (2, 3)
    assert (told.add_addr_accepted, told.add_addr_accepted_max) == (0, 5)
    hmac = peer.keys.advertising_hmac(3, PEER_2, 0)
    peer.first.send(options=[AddAddr(address_id=3, address=PEER_2, port=0, hmac=hmac)])
    assert peer_info(peer).add_addr_accepted == 1
    peer.first.send(options=[RemoveAddr((3,))])
    assert peer_info(peer).add_addr_accepted == 0


@both_roles
def test_subflows_are_counted_while_they_live(passive: bool) -> None:
    peer = MpPeer(QUIET, passive=passive)
    assert (peer_info(peer).subflows_total, peer_info(peer).extra_subflows) == (1, 0)
    peer.join()
    assert (peer_info(peer).subflows_total, peer_info(peer).extra_subflows) == (2, 1)
    peer.connection.retire(0, peer.connection.subflows[0])
    peer.connection.subflows[0].tcp.abort()
    peer.connection.on_subflow_ended(0, peer.connection.subflows[0])
    assert (peer_info(peer).subflows_total, peer_info(peer).extra_subflows) == (1, 1)


def test_what_is_reinjected_is_counted_and_so_are_time_outs_of_the_data_level() -> None:
    world = World(Settings(path_manager="fullmesh"), near=NEAR[:2], far=FAR[:1])
    world.start()
    first = world.initiator.connection.subflows[0].path.local.packed

    def vanish(_now: int, segment: Segment) -> list[tuple[int, Segment]]:
        return [] if segment.flow[:4] == first else [(0, segment)]

    world.initiator.line.hook = vanish
    world.initiator.to_send = bytes(200_000)
    world.run()
    told = info(world.initiator, world)
    assert len(world.listener.received) == told.bytes_sent == told.bytes_acked == 200_000
    assert 0 < told.bytes_retrans <= 200_000
    assert info(world.listener, world).bytes_retrans == 0


@both_roles
@pytest.mark.parametrize("wanted", [True, False], ids=["fell back", "off"])
def test_plain_tcp_has_no_data_level(passive: bool, wanted: bool) -> None:
    peer = TcpPeer(replace(QUIET, mptcp=wanted), passive=passive)
    peer.script.write(peer.id, b"data")
    told = peer.script.host.info(peer.id, peer.script.now)
    assert (told.is_mptcp, told.fallback, told.token) == (False, wanted, None)
    assert (told.bytes_sent, told.subflows_total) == (4, 1)
    assert not any((told.write_seq, told.snd_una, told.rcv_nxt, told.subflows_max))
