"""Addresses that come: ADD_ADDR (RFC 8684, 3.4.1)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.script import (
    HOST,
    HOST_2,
    PEER_2,
    PORT,
    UNCHECKED,
    MpPeer,
    payload,
)

from plait.addresses import IpAddress
from plait.mptcp import advertising
from plait.units import SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.option import Option
from plait.wire.segment import SYN, Segment

MESH = replace(UNCHECKED, path_manager="fullmesh")


def found(segments: list[Segment], kind: type[Option]) -> list[Option]:
    return [one for segment in segments for one in segment.options if isinstance(one, kind)]


def advertised(
    peer: MpPeer, address: IpAddress = PEER_2, *, address_id: int = 3, port: int = 0
) -> AddAddr:
    """Return the peer's ADD_ADDR with a right HMAC."""
    hmac = peer.keys.advertising_hmac(address_id, address, port)
    return AddAddr(address_id=address_id, address=address, port=port, hmac=hmac)


def joins(segments: list[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.flags & SYN]


@pytest.fixture
def peer() -> MpPeer:
    """A peer that the host connected to, with one subflow so far."""
    return MpPeer(replace(MESH, max_subflows=8), passive=False)


# ---- ADD_ADDR from the peer


@pytest.mark.rfc("8684", "3.4", "M8684-3.4-01")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-01")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-12")
@pytest.mark.parametrize("port", [0, 8080])
def test_an_address_is_echoed_and_joined(peer: MpPeer, port: int) -> None:
    sent = peer.first.send(options=[advertised(peer, port=port)])
    echo = AddAddr(address_id=3, address=PEER_2, port=port, echo=True)
    assert found(sent, AddAddr) == [echo]
    flows = [peer.script.flows[syn.flow] for syn in joins(sent)]
    assert {(flow.path.local, flow.path.local_port, flow.path.remote) for flow in flows} == {
        (PEER_2, port or PORT, HOST),
        (PEER_2, port or PORT, HOST_2),
    }


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-10")
@pytest.mark.parametrize("hmac", [bytes(8), None])
def test_an_address_without_proof_is_ignored(peer: MpPeer, hmac: bytes | None) -> None:
    sent = peer.first.send(options=[replace(advertised(peer), hmac=hmac)])
    assert found(sent, AddAddr) == []
    assert joins(sent) == []


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-02")
@pytest.mark.rfc("8684", "3", "M8684-3-05")
def test_an_address_on_a_segment_outside_the_window_is_ignored(peer: MpPeer) -> None:
    sent = peer.first.send(seq=peer.first.nxt + (1 << 25), options=[advertised(peer)])
    assert found(sent, AddAddr) == []


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-14")
def test_a_repeated_address_is_echoed_again_and_joined_once(peer: MpPeer) -> None:
    first = peer.first.send(options=[advertised(peer)])
    again = peer.first.send(options=[advertised(peer)])
    assert len(joins(first)) == 2
    assert len(found(again, AddAddr)) == 1
    assert joins(again) == []


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-04")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-17")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-19")
def test_an_id_keeps_its_address_until_it_is_removed(peer: MpPeer) -> None:
    other = ip_address("10.0.3.2")
    peer.first.send(options=[advertised(peer)])
    sent = peer.first.send(options=[advertised(peer, other)])
    assert found(sent, AddAddr) == []
    peer.first.send(options=[RemoveAddr((3,))])
    sent = peer.first.send(options=[advertised(peer, other)])
    assert len(found(sent, AddAddr)) == 1


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-21")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-23")
@pytest.mark.parametrize(
    "address",
    ["224.0.0.1", "127.0.0.1", str(ip_address(0)), "255.255.255.255", str(HOST_2), "ff02::1"],
)
def test_an_address_that_is_no_hosts_is_echoed_and_never_joined(peer: MpPeer, address: str) -> None:
    sent = peer.first.send(options=[advertised(peer, ip_address(address))])
    assert len(found(sent, AddAddr)) == 1
    assert joins(sent) == []


@pytest.mark.rfc("8684", "5", "M8684-5-03")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-05")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-22")
def test_a_flood_of_addresses_is_bounded(peer: MpPeer) -> None:
    sent: list[Segment] = []
    for number in range(1, 101):
        address = ip_address(f"10.9.0.{number}")
        sent += peer.first.send(options=[advertised(peer, address, address_id=number)])
    assert len(joins(sent)) <= 8
    assert len(peer.connection.addresses.remote) <= 8
    assert peer.script.host.counters.add_addr_drop > 80


@pytest.mark.rfc("8684", "3.4", "M8684-3.4-01")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-05")
def test_an_address_that_joined_by_itself_is_not_joined_back() -> None:
    peer = MpPeer(MESH)
    peer.join(PEER_2, address_id=3)
    sent = peer.first.send(options=[advertised(peer, PEER_2, address_id=3)])
    assert joins(sent) == []


# ---- ADD_ADDR to the peer


def announcing() -> tuple[MpPeer, list[Segment]]:
    """Return a listening host with two addresses, and what it sends at first."""
    peer = MpPeer(MESH)
    return peer, list(peer.first.sent)


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-03")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-09")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-20")
def test_a_listener_advertises_its_other_address() -> None:
    peer, sent = announcing()
    (option,) = found(sent, AddAddr)
    assert isinstance(option, AddAddr)
    assert (option.address, option.address_id, option.echo) == (HOST_2, 1, False)
    assert option.hmac == peer.keys.advertised_hmac(1, HOST_2, 0)
    (carrier,) = [one for one in sent if found([one], AddAddr)]
    assert (carrier.length, carrier.dss) == (0, None)


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-13")
def test_an_advertisement_is_repeated_until_it_is_echoed() -> None:
    peer, _ = announcing()
    assert len(found(peer.script.wait(SECOND), AddAddr)) >= 1
    peer.first.send(options=[AddAddr(address_id=1, address=HOST_2, echo=True)])
    assert found(peer.script.wait(60 * SECOND), AddAddr) == []


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-13")
@pytest.mark.rfc("8684", "3", "M8684-3-04")
def test_an_advertisement_that_is_never_echoed_is_given_up() -> None:
    peer, sent = announcing()
    for _ in range(600):
        sent += peer.script.wait(SECOND)
        sent += peer.first.send(dss=peer.ack())
    assert len(found(sent, AddAddr)) == 4


@pytest.mark.rfc("8684", "3", "M8684-3-04")
def test_no_more_than_two_signals_in_a_row() -> None:
    peer = MpPeer(UNCHECKED)
    for number in range(5):
        address = ip_address(f"10.9.0.{number}")
        advertising.announce(peer.connection, address, 0)
    peer.script.host._touch(peer.script.host._connections.by_id[2])
    counts = [len(found(peer.script.turn(), AddAddr))]
    counts += [len(found(peer.first.send(dss=peer.ack()), AddAddr)) for _ in range(3)]
    assert counts == [2, 2, 1, 0]


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-01")
def test_an_address_that_comes_later_is_joined_from(peer: MpPeer) -> None:
    third = ip_address("10.0.3.1")
    peer.script.host.on_local_address(0, third, present=True)
    (syn,) = joins(peer.script.turn())
    assert peer.script.flows[syn.flow].path.remote == third


@pytest.mark.rfc("8684", "3", "M8684-3-03")
def test_repeated_options_are_no_duplicate_acks() -> None:
    peer = MpPeer(UNCHECKED)
    sent = peer.script.write(2, bytes(5000))
    for _ in range(5):
        sent = peer.first.send(ack=1, dss=peer.ack(), options=[MpPrio(backup=False)])
        assert payload(sent) == b""
    sent = [one for _ in range(3) for one in peer.first.send(ack=1, dss=peer.ack())]
    assert payload(sent)
