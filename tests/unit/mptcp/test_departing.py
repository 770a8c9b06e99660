"""Local addresses that are left without loss, the last one after another is in use."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.script import (
    HOST,
    HOST_2,
    UNCHECKED,
    MpPeer,
    found,
    payload,
    resets,
)
from support.world import NEAR, End, World

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.host.events import Lost, SubflowUp
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.segment import FIN, SYN, Segment

THREE = (*NEAR, ip_address("10.0.3.1"))
MESH = replace(UNCHECKED, path_manager="fullmesh")
STREAM = bytes(range(256)) * 8000


def locals_of(end: End) -> set[IpAddress]:
    """Return the addresses of the subflows that carry data."""
    return {one.path.local for one in end.connection.subflows if one.can_send}


def told(end: End) -> list[str]:
    """Return what an end said of addresses and joins, in order."""
    names = {MpJoinSyn: "join", AddAddr: "add", RemoveAddr: "remove"}
    return [
        names[type(option)]
        for _, segment in end.line.sent
        for option in segment.options
        if type(option) in names and (segment.flags & SYN or not isinstance(option, MpJoinSyn))
    ]


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-06")
@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-02")
@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-06")
@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-10")
def test_an_address_that_still_works_is_left_by_priority_drain_and_fin() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join(remote=HOST_2)
    peer.script.host.remove_addresses(peer.script.now, 2, [HOST_2])
    sent = peer.script.turn()
    assert found(sent, MpPrio, RemoveAddr) == [MpPrio(backup=True)]
    assert payload(peer.script.write(2, b"elsewhere")) == b"elsewhere"
    assert payload(second.sent) == b""
    peer.script.wait(100 * MILLISECOND)
    peer.data(b"on the way", flow=second)  # sent before the peer heard of it
    assert peer.script.read(2) == b"on the way"
    peer.acked = 10
    peer.first.send(dss=peer.ack())
    sent = peer.script.wait(10 * SECOND)
    (fin,) = [one for one in sent if one.flags & FIN][:1]
    assert fin.flow == second.sent[0].flow
    assert found(sent, RemoveAddr) == [RemoveAddr((1,))]
    assert resets(sent) == []


def test_nothing_new_is_sent_on_a_subflow_that_is_left() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join(remote=HOST_2)
    peer.script.host.remove_addresses(peer.script.now, 2, [HOST_2])
    peer.script.write(2, bytes(100_000))
    assert len(payload(peer.first.sent)) > 1000
    assert payload(second.sent) == b""


def test_a_peer_that_never_stops_sending_is_left_anyway() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join(remote=HOST_2)
    peer.script.host.remove_addresses(peer.script.now, 2, [HOST_2])
    sent: list[Segment] = []
    for _ in range(200):
        sent += peer.data(b"more", flow=second) + peer.script.wait(100 * MILLISECOND)
    assert {one.flow for one in sent if one.flags & FIN} == {second.sent[0].flow}


def test_the_only_address_is_not_given_up() -> None:
    peer = MpPeer(replace(UNCHECKED, local_addresses=str(HOST)))
    with pytest.raises(UsageError, match="all this connection has"):
        peer.script.host.remove_addresses(0, 2, [HOST])
    assert peer.connection.local_addresses == [HOST]
    peer.data(b"goes on")
    assert peer.script.read(2) == b"goes on"


@pytest.mark.parametrize("back", [b"", bytes(3_000_000)], ids=["sending", "both ways"])
def test_two_hosts_lose_nothing_when_an_address_is_left_midway(back: bytes) -> None:
    stream = bytes(range(256)) * 12_000
    world = World(replace(UNCHECKED, path_manager="fullmesh"))
    world.start()
    for end, octets in zip(world.ends, (stream, back), strict=True):
        end.to_send = octets
    world.run(100 * MILLISECOND)
    for end in world.ends:
        end.finish = True
    initiator = world.initiator
    initiator.host.remove_addresses(world.now, initiator.connection_id, [NEAR[1]])
    world.run(200 * SECOND)
    assert bytes(world.listener.received) == stream
    assert len(initiator.received) == len(back)
    gone = [one for _, one in initiator.line.sent if NEAR[1].packed in one.flow]
    assert any(one.flags & FIN for one in gone)
    assert resets(gone) == []
    assert all(end.empty for end in world.ends)


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-06")
@pytest.mark.parametrize("manager", ["fullmesh", "default"])
@pytest.mark.parametrize("most", [1, 8], ids=["at the limit", "with room"])
def test_the_only_address_in_use_is_removed_once_another_one_is(manager: str, most: int) -> None:
    world = World(replace(MESH, path_manager="default", max_subflows=most))
    world.start(subflows=1)
    end = world.initiator
    end.to_send = STREAM
    world.run(60 * MILLISECOND)
    chosen = replace(MESH, path_manager=manager, max_subflows=most)
    if most > 1:
        end.host.change(world.now, end.connection_id, chosen)
        world.listener.connection.settings = chosen
    else:
        world.listener.connection.settings = replace(chosen, max_subflows=2)
    before = len(end.heard(SubflowUp))
    end.host.remove_addresses(world.now, end.connection_id, [NEAR[0]])
    assert locals_of(end) == {NEAR[0]}
    world.run(3 * SECOND)
    assert locals_of(end) == {NEAR[1]}
    assert len(end.heard(SubflowUp)) == before + 1
    assert told(end) == ["join", "remove"]
    for one in world.ends:
        one.finish = True
    world.run(60 * SECOND)
    assert bytes(world.listener.received) == STREAM
    assert all(one.empty for one in world.ends)


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-06")
def test_if_the_first_alternative_fails_another_one_is_tried() -> None:
    world = World(replace(MESH, path_manager="default"), near=THREE)
    world.start(subflows=1)
    end = world.initiator

    def refuse(_now: int, segment: Segment) -> list[tuple[int, Segment]]:
        return [] if segment.flow[:4] == NEAR[1].packed else [(0, segment)]

    end.line.hook = refuse
    end.host.remove_addresses(world.now, end.connection_id, [NEAR[0]])
    world.run(SECOND)
    assert locals_of(end) == {NEAR[0]}  # kept as long as nothing else works
    world.run(200 * SECOND)
    assert locals_of(end) == {THREE[2]}
    assert not end.heard(Lost)


def test_adding_an_address_back_in_time_calls_its_removal_off() -> None:
    world = World(replace(MESH, path_manager="default"))
    world.start(subflows=1)
    end = world.initiator
    end.host.remove_addresses(world.now, end.connection_id, [NEAR[0]])
    end.host.add_addresses(world.now, end.connection_id, [(NEAR[0], 0)])
    world.run(10 * SECOND)
    assert locals_of(end) == set(NEAR)
    assert told(end) == ["join"]


def test_all_addresses_cannot_be_removed() -> None:
    world = World(MESH)
    world.start()
    host, name = world.initiator.host, world.initiator.connection_id
    with pytest.raises(UsageError, match=r"10\.0\.1\.1, 10\.0\.2\.1: all this connection has"):
        host.remove_addresses(world.now, name, NEAR)
    assert locals_of(world.initiator) == set(NEAR)
    host.remove_addresses(world.now, name, [NEAR[0]])
    with pytest.raises(UsageError, match=r"10\.0\.2\.1: all this connection has"):
        host.remove_addresses(world.now, name, [NEAR[1]])


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-10")
def test_what_is_left_stays_if_what_was_to_take_its_place_is_closed() -> None:
    world = World(replace(MESH, path_manager="default"), near=THREE)
    world.start(subflows=1)
    end = world.initiator
    end.host.open_subflow(world.now, end.connection_id, NEAR[1])
    world.run(SECOND)
    end.to_send = STREAM
    end.host.remove_addresses(world.now, end.connection_id, [NEAR[0]])
    world.run(60 * MILLISECOND)
    far = world.listener
    far.host.close_subflow(world.now, far.connection_id, 2, "rst")
    world.run(3 * SECOND)
    assert locals_of(end) == {THREE[2]}
    assert told(end) == ["join", "join", "remove"]
    for one in world.ends:
        one.finish = True
    world.run(60 * SECOND)
    assert bytes(world.listener.received) == STREAM
