"""Version 0: addresses and priorities, as RFC 6824 has them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.script import (
    PEER_2,
    PORT,
    VERSION_0,
    MpPeer,
    found,
    payload,
    syns,
)

from plait.addresses import IpAddress
from plait.mptcp import advertising, priorities
from plait.units import SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.remove_addr import RemoveAddr

MESH = replace(VERSION_0, path_manager="fullmesh")


def add(address: IpAddress = PEER_2, address_id: int = 3, port: int = 0) -> AddAddr:
    return AddAddr(address_id=address_id, address=address, port=port, version=0)


@pytest.mark.rfc("6824", "3.4.1", "M6824-3.4.1-01")
@pytest.mark.parametrize("port", [0, 8080])
def test_an_address_needs_no_proof_and_gets_no_echo(port: int) -> None:
    peer = MpPeer(MESH, passive=False)
    sent = peer.first.send(options=[add(port=port)], dss=peer.ack())
    assert not found(sent, AddAddr)
    paths = {peer.script.flows[syn.flow].path for syn in syns(sent)}
    assert {(path.local, path.local_port) for path in paths} == {(PEER_2, port or PORT)}


@pytest.mark.rfc("6824", "3.4.1", "M6824-3.4.1-01")
def test_an_address_in_the_form_of_version_1_is_ignored() -> None:
    peer = MpPeer(MESH, passive=False)
    hmac = peer.keys.advertising_hmac(3, PEER_2, 0)
    option = AddAddr(address_id=3, address=PEER_2, hmac=hmac)
    assert not peer.first.send(options=[option], dss=peer.ack())


@pytest.mark.rfc("6824", "3.4.1", "M6824-3.4.1-02")
def test_one_segment_may_tell_of_many_addresses() -> None:
    peer = MpPeer(MESH, passive=False)
    third = ip_address("10.0.3.2")
    sent = peer.first.send(options=[add(), add(third, 4)], dss=peer.ack())
    paths = {peer.script.flows[syn.flow].path.local for syn in syns(sent)}
    assert paths == {PEER_2, third}


REPEATED = {
    "the same": (add(), 0),
    "the same port": (add(port=0), 0),
    "another port": (add(port=8080), 2),
    "another address": (add(ip_address("10.0.3.2"), port=8080), 0),
}


@pytest.mark.rfc("6824", "3.4.1", "M6824-3.4.1-04")
@pytest.mark.parametrize(("again", "joins"), REPEATED.values(), ids=REPEATED.keys())
def test_an_id_comes_again_only_with_its_address_and_another_port(
    again: AddAddr, joins: int
) -> None:
    peer = MpPeer(replace(MESH, max_subflows=8), passive=False)
    assert len(syns(peer.first.send(options=[add()], dss=peer.ack()))) == 2
    assert len(syns(peer.first.send(options=[again], dss=peer.ack()))) == joins


def test_an_id_that_was_removed_is_new_again() -> None:
    peer = MpPeer(MESH)
    peer.first.send(options=[add()], dss=peer.ack())
    book = peer.connection.addresses
    assert not book.is_new(3, 0)
    peer.first.send(options=[RemoveAddr((3,))], dss=peer.ack())
    assert book.is_new(3, 0)


def test_ports_of_one_id_are_bounded() -> None:
    book = MpPeer(VERSION_0).connection.addresses
    assert sum(book.is_new(3, port) for port in range(100)) == advertising.MAX_PORTS


@pytest.mark.rfc("6824", "3.4.1", "M6824-3.4.1-03")
def test_an_address_of_ours_is_told_once_on_every_subflow_and_so_is_its_end() -> None:
    peer = MpPeer(MESH)
    second = peer.join()
    third = ip_address("10.0.3.1")
    host = peer.script.host
    host.on_local_address(peer.script.now, third, present=True)
    told = peer.script.turn() + peer.script.wait(20 * SECOND)
    (known,) = [address_id for address, address_id in host_ids(peer) if address == third]
    option = AddAddr(address_id=known, address=third, version=0)
    carriers = [one.flow for one in told if option in one.options]
    assert carriers == [peer.first.path.flow_in(), second.path.flow_in()]
    for flow in (peer.first, second):
        flow.send(dss=peer.ack())
    host.on_local_address(peer.script.now, third, present=False)
    gone = peer.script.turn()
    assert [one.flow for one in gone if RemoveAddr((known,)) in one.options] == carriers
    host.on_local_address(peer.script.now, third, present=True)
    peer.first.send(dss=peer.ack())
    assert known not in dict(host_ids(peer)).values()  # so their order does not matter


def host_ids(peer: MpPeer) -> list[tuple[IpAddress, int]]:
    return list(peer.connection.addresses.local.items())


@pytest.mark.rfc("6824", "3.3.8", "M6824-3.3.8-01")
def test_mp_prio_may_name_the_address_of_another_subflow() -> None:
    peer = MpPeer(VERSION_0)
    second = peer.join(address_id=2)
    peer.first.send(dss=peer.ack(), options=[MpPrio(backup=True, address_id=2)])
    peer.script.write(2, bytes(200_000))
    assert (payload(second.sent), bool(payload(peer.first.sent))) == (b"", True)
    peer.first.send(dss=peer.ack(), options=[MpPrio(backup=False, address_id=2)])
    assert payload(second.sent)


@pytest.mark.rfc("6824", "3.3.8", "M6824-3.3.8-01")
@pytest.mark.parametrize("stale", [True, False])
def test_our_mp_prio_names_a_subflow_that_does_not_answer(stale: bool) -> None:
    peer = MpPeer(VERSION_0)
    second = peer.join()
    subflow = peer.connection.subflows[1]
    subflow.tcp.sender.backoff = int(stale)
    priorities.set_backup(peer.connection, 0, subflow, backup=True)
    peer.script.write(2, b"hello")
    carrier, option = (
        (peer.first, MpPrio(backup=True, address_id=subflow.local_id))
        if stale
        else (second, MpPrio(backup=True))
    )
    assert found(carrier.sent, MpPrio) == [option]
