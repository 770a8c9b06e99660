"""An event for every change of subflows, addresses and mode, in both roles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.script import BARE, PEER_2, UNCHECKED, MpPeer, Script, TcpPeer, syns
from support.world import NEAR, World

from plait.host.events import (
    Accepted,
    AddressAdvertised,
    AddressWithdrawn,
    ChecksumFailed,
    Established,
    Event,
    FellBack,
    JoinFailed,
    SubflowDown,
    SubflowEnd,
    SubflowUp,
)
from plait.units import SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_tcprst import (
    ADMINISTRATIVELY_PROHIBITED,
    MPTCP_SPECIFIC,
    UNACCEPTABLE_PERFORMANCE,
    UNSPECIFIED,
    MpTcprst,
)
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.segment import ACK, FIN, RST, SYN, Segment

both_roles = pytest.mark.parametrize("passive", [True, False], ids=["listener", "initiator"])


# ---- subflows that end


def reset_with_reason(peer: MpPeer) -> None:
    peer.first.send(RST, options=[MpTcprst(UNACCEPTABLE_PERFORMANCE)])


def reset_without(peer: MpPeer) -> None:
    peer.first.send(RST)


def lose_the_address(peer: MpPeer) -> None:
    host = peer.script.host
    host.on_local_address(peer.script.now, peer.connection.subflows[0].path.local, present=False)
    peer.script.turn()


def finish(peer: MpPeer) -> None:
    peer.first.send(ACK | FIN, dss=peer.ack())
    peer.first.send(ACK, dss=peer.ack())


ENDS: dict[str, tuple[Callable[[MpPeer], None], SubflowEnd, int | None]] = {
    "peer's MP_TCPRST": (reset_with_reason, SubflowEnd.RESET, UNACCEPTABLE_PERFORMANCE),
    "peer's bare RST": (reset_without, SubflowEnd.RESET, None),
    "our address went": (lose_the_address, SubflowEnd.ABORTED, UNSPECIFIED),
    "FINs": (finish, SubflowEnd.CLOSED, None),
}


@pytest.mark.rfc("8684", "3.6")
@pytest.mark.parametrize(("act", "end", "reason"), ENDS.values(), ids=ENDS.keys())
@both_roles
def test_the_end_of_a_subflow(
    passive: bool, act: Callable[[MpPeer], None], end: SubflowEnd, reason: int | None
) -> None:
    peer = MpPeer(replace(UNCHECKED, path_manager="default"), passive=passive)
    peer.join()
    path = peer.connection.subflows[0].path
    act(peer)
    downs = [down for down in peer.script.heard(SubflowDown) if down.path == path]
    assert downs == [SubflowDown(peer.id, path, end, reason)]


@both_roles
def test_a_subflow_whose_peer_went_silent_times_out(passive: bool) -> None:
    settings = replace(UNCHECKED, path_manager="default", retries=3)
    peer = MpPeer(settings, passive=passive)
    peer.script.write(peer.id, b"lost")
    peer.script.wait(300 * SECOND)
    assert [down.end for down in peer.script.heard(SubflowDown)] == [SubflowEnd.TIMED_OUT]


# ---- joins that fail


def refuse(flags: int, *options: MpTcprst) -> tuple[JoinFailed | None, Script]:
    """Let the host join an address, and refuse it."""
    peer = MpPeer(replace(UNCHECKED, path_manager="fullmesh"), passive=False)
    hmac = peer.keys.advertising_hmac(3, PEER_2, 0)
    advertised = AddAddr(address_id=3, address=PEER_2, port=0, hmac=hmac)
    syn = syns(peer.first.send(options=[advertised]))[0]
    flow = peer.script.flows[syn.flow]
    flow.send(flags, options=options)
    path = flow.path
    failed = [one for one in peer.script.heard(JoinFailed) if one.path.remote == path.local]
    return (failed[0] if failed else None), peer.script


@pytest.mark.rfc("8684", "3.2")
@pytest.mark.parametrize("reason", [None, ADMINISTRATIVELY_PROHIBITED])
def test_a_join_that_is_refused(reason: int | None) -> None:
    options = [] if reason is None else [MpTcprst(reason)]
    failed, script = refuse(RST | ACK, *options)
    assert failed is not None
    assert (failed.end, failed.reason) == (SubflowEnd.REFUSED, reason)
    assert not script.heard(SubflowDown)


def test_a_join_that_the_other_side_answers_without_mptcp() -> None:
    failed, _ = refuse(SYN | ACK)
    assert failed is not None
    assert (failed.end, failed.reason) == (SubflowEnd.ABORTED, MPTCP_SPECIFIC)


def test_joins_of_the_peer_that_fail_are_not_ours_to_tell() -> None:
    peer = MpPeer(UNCHECKED)
    flow, _ = peer.join_syn()
    flow.send(RST)
    assert not peer.script.heard(JoinFailed, SubflowDown)


# ---- addresses


def address_events(peer: MpPeer) -> list[Event]:
    return [*peer.script.heard(AddressAdvertised, AddressWithdrawn)]


@pytest.mark.rfc("8684", "3.4.1")
@pytest.mark.parametrize("port", [0, 8443])
@both_roles
def test_an_address_of_the_peer_is_told_once_and_its_removal(passive: bool, port: int) -> None:
    peer = MpPeer(UNCHECKED, passive=passive)
    hmac = peer.keys.advertising_hmac(3, PEER_2, port)
    advertised = AddAddr(address_id=3, address=PEER_2, port=port, hmac=hmac)
    for option in (advertised, advertised, RemoveAddr((3, 9)), RemoveAddr((3,))):
        peer.first.send(options=[option])
    assert address_events(peer) == [
        AddressAdvertised(peer.id, 3, PEER_2, port),
        AddressWithdrawn(peer.id, 3, PEER_2),
    ]


@both_roles
def test_an_address_that_nobody_vouches_for_is_not_told(passive: bool) -> None:
    peer = MpPeer(UNCHECKED, passive=passive)
    peer.first.send(options=[AddAddr(address_id=3, address=PEER_2, port=0, hmac=bytes(8))])
    assert address_events(peer) == []


def test_a_flood_of_addresses_brings_no_more_events_than_addresses_are_kept() -> None:
    peer = MpPeer(replace(UNCHECKED, max_addresses=4))
    for number in range(2, 60):
        address = PEER_2 + number
        hmac = peer.keys.advertising_hmac(number, address, 0)
        peer.first.send(options=[AddAddr(address_id=number, address=address, port=0, hmac=hmac)])
    assert len(peer.script.heard(AddressAdvertised)) == 3


# ---- plain TCP, and why


@pytest.mark.rfc("8684", "3.7")
@both_roles
def test_a_peer_without_multipath_tcp(passive: bool) -> None:
    peer = TcpPeer(replace(BARE, mptcp=True), passive=passive)
    opened, told = peer.script.events[:2]
    assert isinstance(opened, Accepted if passive else Established)
    missing = "no MP_CAPABLE in the SYN" if passive else "no MP_CAPABLE in the SYN/ACK"
    assert told == FellBack(peer.id, missing)
    assert len(peer.script.heard(FellBack)) == 1


@both_roles
def test_plain_tcp_that_was_asked_for_is_no_fall_back(passive: bool) -> None:
    peer = TcpPeer(replace(BARE, mptcp=False), passive=passive)
    assert peer.script.heard(FellBack) == []


@both_roles
def test_a_connection_that_falls_back_later(passive: bool) -> None:
    peer = MpPeer(UNCHECKED, passive=passive)
    peer.data(b"mapped")
    assert peer.script.heard(FellBack) == []
    peer.first.send(payload=b"plain")
    assert peer.script.heard(FellBack) == [FellBack(peer.id, "data without a mapping")]


# ---- checksums


@pytest.mark.rfc("8684", "3.7")
@both_roles
def test_a_wrong_checksum_falls_back_on_the_only_subflow(passive: bool) -> None:
    peer = MpPeer(replace(UNCHECKED, checksum=True), passive=passive, checksum=True)
    peer.data(b"good")
    dss = peer.dss(peer.dsn, peer.first.nxt, b"evil")
    dss.checksum ^= 1
    path = peer.connection.subflows[0].path
    peer.first.send(payload=b"evil", dss=dss)
    assert peer.script.heard(ChecksumFailed, FellBack) == [
        ChecksumFailed(peer.id, path, remote=False),
        FellBack(peer.id, "a DSS checksum failed"),
    ]


@pytest.mark.rfc("8684", "3.7")
@both_roles
def test_the_peer_saw_a_wrong_checksum(passive: bool) -> None:
    peer = MpPeer(UNCHECKED, passive=passive)
    path = peer.connection.subflows[0].path
    peer.data(b"good")
    peer.first.send(options=[MpFail(0)], dss=peer.ack())
    assert peer.script.heard(ChecksumFailed, FellBack) == [
        ChecksumFailed(peer.id, path, remote=True),
        FellBack(peer.id, "the peer saw a DSS checksum fail"),
    ]


@pytest.mark.rfc("8684", "3.7")
@both_roles
def test_mp_fail_on_a_reset_of_one_of_several(passive: bool) -> None:
    peer = MpPeer(replace(UNCHECKED, path_manager="default"), passive=passive)
    second = peer.join()
    path = peer.connection.subflows[1].path
    second.send(RST, options=[MpFail(0), MpTcprst(UNSPECIFIED)])
    assert peer.script.heard(ChecksumFailed, SubflowDown) == [
        ChecksumFailed(peer.id, path, remote=True),
        SubflowDown(peer.id, path, SubflowEnd.RESET, UNSPECIFIED),
    ]
    assert peer.script.host.counters.mp_fail_rx == 1


def test_both_ends_hear_of_a_path_that_changes_data() -> None:
    world = World(near=NEAR)
    world.start()
    broken: list[int] = []

    def spoil(_now: int, segment: Segment) -> list[tuple[int, Segment]]:
        if segment.length and segment.dss is not None and not broken:
            broken.append(1)
            segment.dss.checksum ^= 1
        return [(0, segment)]

    world.initiator.line.hook = spoil
    world.initiator.to_send = bytes(100_000)
    world.run()
    for end, remote in ((world.initiator, True), (world.listener, False)):
        assert [one.remote for one in end.heard(ChecksumFailed)] == [remote]
        (down,) = end.heard(SubflowDown)
        assert down.end is (SubflowEnd.RESET if remote else SubflowEnd.ABORTED)
        assert down.reason is not None
    assert len(world.listener.received) == 100_000


def test_up_comes_before_down_for_each_path() -> None:
    world = World()
    world.transfer(bytes(100_000))
    for end in world.ends:
        seen: set[object] = set()
        for _, event in end.events:
            if isinstance(event, SubflowUp):
                seen.add(event.path)
            elif isinstance(event, SubflowDown):
                seen.remove(event.path)
