"""REMOVE_ADDR in both directions (RFC 8684, 3.4.2)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.script import HOST, HOST_2, PEER_2, UNCHECKED, Flow, MpPeer, found
from support.script import resets as all_resets
from support.world import NEAR, World

from plait.addresses import IpAddress
from plait.host.events import SubflowDown
from plait.mptcp.advertising import MAX_ID, AddressBook
from plait.mptcp.inquiry import PROBES
from plait.pathing import Action, OpenSubflow, PathManager, View, path_managers
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_tcprst import UNSPECIFIED, MpTcprst
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.segment import ACK, FIN, RST, SYN, Segment

THIRD = ip_address("10.0.3.2")
MESH = replace(UNCHECKED, path_manager="fullmesh")


def resets(segments: list[Segment]) -> set[bytes]:
    """Return the flows of the RSTs among segments."""
    return {one.flow for one in all_resets(segments)}


def probes(flow: Flow, segments: list[Segment]) -> list[Segment]:
    """Return the keep-alives on a flow: an octet below what the host sent."""
    own = [one for one in segments if one.flow == flow.sent[0].flow and one.flags == ACK]
    return [one for one in own if flow.position(one) + 1 == flow.rcv_nxt]


def removed(peer: MpPeer, *address_ids: int) -> list[Segment]:
    """Have the peer remove addresses, and let a moment pass."""
    sent = peer.first.send(dss=peer.ack(), options=[RemoveAddr(address_ids)])
    return sent + peer.script.wait(MILLISECOND)


# ---- from the peer


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-04")
@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-03")
@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-04")
@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-08")
def test_paths_to_removed_addresses_are_asked_and_reset_if_they_are_silent() -> None:
    peer = MpPeer(UNCHECKED)
    flows = [peer.join(PEER_2, address_id=2), peer.join(THIRD, address_id=3)]
    sent = removed(peer, 2, 3)
    assert [len(probes(flow, sent)) for flow in flows] == [1, 1]
    assert all_resets(sent) == []
    later = peer.script.wait(60 * SECOND)
    assert [len(probes(flow, later)) for flow in flows] == [PROBES - 1] * 2
    ends = all_resets(later)
    assert {one.flow for one in ends} == {flow.sent[0].flow for flow in flows}
    assert {one.options for one in ends} == {(MpTcprst(UNSPECIFIED),)}
    assert len(peer.script.heard(SubflowDown)) == 2
    assert peer.script.host.counters.rm_subflow == 2
    peer.data(b"goes on")
    assert peer.script.read(2) == b"goes on"


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-04")
@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-05")
def test_a_path_that_answers_stays_until_the_peer_closes_it() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    removed(peer, 2)
    second.send(dss=peer.ack())
    later = peer.script.wait(60 * SECOND)
    assert probes(second, later) == []
    peer.data(b"still here", flow=second)
    assert peer.script.read(2) == b"still here"
    assert any(one.flags & FIN for one in second.send(FIN | ACK))


class Insistent(PathManager):
    """Joins an address of the peer again and again, removed or not."""

    def on_established(self, view: View) -> list[Action]:
        return [self.wish]

    def on_address_removed(self, view: View, address_id: int) -> list[Action]:
        return [self.wish]

    @property
    def wish(self) -> Action:
        return OpenSubflow(HOST_2, PEER_2, 80, 3)


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-05")
@pytest.mark.parametrize("manager", ["fullmesh", "insistent"])
def test_a_removed_address_is_not_joined_until_it_is_advertised_again(
    manager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(path_managers._known, "insistent", Insistent)
    peer = MpPeer(replace(UNCHECKED, path_manager=manager), passive=False)
    hmac = peer.keys.advertising_hmac(3, PEER_2, 0)
    option = AddAddr(address_id=3, address=PEER_2, hmac=hmac)
    opening = [one for one in peer.first.send(options=[option]) if one.flags & SYN]
    for syn in opening:
        peer.script.flows[syn.flow].send(RST)
    assert [one for one in removed(peer, 3) if one.flags & SYN] == []
    peer.script.host.on_local_address(peer.script.now, ip_address("10.0.3.1"), present=True)
    assert [one for one in peer.script.turn() if one.flags & SYN and _to(peer, one, PEER_2)] == []
    again = [one for one in peer.first.send(options=[option]) if one.flags & SYN]
    assert bool(again) is (manager == "fullmesh")
    assert 3 not in peer.connection.addresses.removed


def _to(peer: MpPeer, segment: Segment, address: IpAddress) -> bool:
    return peer.script.flows[segment.flow].path.local == address


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-05")
def test_a_join_that_still_opens_is_given_up() -> None:
    peer = MpPeer(UNCHECKED)
    flow, _ = peer.join_syn(PEER_2, address_id=2)
    assert resets(removed(peer, 2)) == {flow.sent[0].flow}


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-06")
def test_id_0_is_the_first_address() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    sent = second.send(dss=peer.ack(), options=[RemoveAddr((0,))])
    assert len(probes(peer.first, sent)) == 1
    assert resets(peer.script.wait(60 * SECOND)) == {peer.first.sent[0].flow}


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-09")
@pytest.mark.rfc("8684", "3.8", "M8684-3.8-03")
def test_an_unknown_id_is_ignored() -> None:
    peer = MpPeer(UNCHECKED)
    peer.join()
    assert peer.first.send(options=[RemoveAddr((200,))]) == []


def test_the_last_subflow_is_kept_if_it_works() -> None:
    peer = MpPeer(UNCHECKED)
    removed(peer, 0)
    peer.data(b"goes on")
    assert resets(peer.script.wait(60 * SECOND)) == set()
    assert peer.script.read(2) == b"goes on"


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-07")
def test_a_removal_outside_the_window_is_ignored_and_challenged() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    counters = peer.script.host.counters
    sent = peer.first.send(seq=peer.first.nxt + (1 << 25), options=[RemoveAddr((2,))])
    sent += peer.script.wait(60 * SECOND)
    assert probes(second, sent) == []
    assert resets(sent) == set()
    assert (counters.rm_addr, counters.tcp_challenge_ack) == (0, 1)


def test_asking_twice_is_asking_once() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    sent = removed(peer, 2)
    peer.connection.addresses.learn(2, PEER_2)
    sent += removed(peer, 2) + peer.script.wait(60 * SECOND)
    assert len(probes(second, sent)) == PROBES


# ---- of our own addresses


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-01")
@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-08")
def test_an_address_of_ours_that_went_is_withdrawn_on_another_path() -> None:
    peer = MpPeer(MESH)
    flow = peer.join(remote=HOST_2)
    host = peer.script.host
    host.on_local_address(peer.script.now, HOST_2, present=False)
    sent = peer.script.turn()
    (carrier,) = [one for one in sent if found([one], RemoveAddr)]
    assert found([carrier], RemoveAddr) == [RemoveAddr((1,))]
    assert carrier.flow == peer.first.sent[0].flow
    assert resets(sent) == {flow.sent[0].flow}


def test_without_another_path_it_is_withdrawn_once_there_is_one() -> None:
    peer = MpPeer(MESH)
    host = peer.script.host
    host.on_local_address(peer.script.now, HOST, present=False)
    assert found(peer.script.turn(), RemoveAddr) == []
    flow = peer.join(remote=HOST_2)
    assert found(flow.sent, RemoveAddr) == [RemoveAddr((0,))]


def test_two_hosts_lose_nothing_when_an_address_goes_midway() -> None:
    stream = bytes(range(256)) * 12_000
    world = World(replace(UNCHECKED, path_manager="fullmesh"))
    world.start()
    world.initiator.to_send = stream
    world.run(100 * MILLISECOND)
    for end in world.ends:
        end.finish = True
    world.initiator.host.on_local_address(world.now, NEAR[1], present=False)
    world.run(200 * SECOND)
    assert bytes(world.listener.received) == stream
    assert all(end.empty for end in world.ends)


# ---- ids


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-11")
def test_an_id_that_was_freed_comes_last() -> None:
    book = AddressBook(HOST, PEER_2)
    kept = book.local_id(HOST_2)
    given = []
    for number in range(3 * MAX_ID):
        address = ip_address(f"10.9.{number // 256}.{number % 256}")
        given.append(book.local_id(address))
        del book.local[address]
    assert kept not in given
    assert min(given) > 0
    spans = [given.index(one, at + 1) - at for at, one in enumerate(given[:MAX_ID])]
    assert min(spans) == MAX_ID - 1


def test_the_first_address_has_another_id_at_another_port() -> None:
    book = AddressBook(HOST, PEER_2)
    assert book.endpoint_id(HOST, 0) == 0
    other = book.endpoint_id(HOST, 8443)
    assert other == book.endpoint_id(HOST, 8443) != 0
    assert book.endpoint_id(HOST_2, 8443) == book.local_id(HOST_2)
    assert (book.arrival_id(HOST, 8443), book.arrival_id(HOST, 80)) == (other, 0)
