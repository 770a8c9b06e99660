"""Subflows as the application wants them: draft-hesmans-mptcp-socket on a host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from random import Random

import pytest
from support.script import PEER_2, UNCHECKED, MpPeer, TcpPeer, found
from support.world import FAR, NEAR, End, Hook, World

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.host.events import LossReason, Lost, SubflowDown, SubflowUp
from plait.host.settings import Settings
from plait.mptcp.info import SubflowInfo
from plait.mptcp.settings import MAX_SUBFLOWS
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.mp_capable import DENY_JOIN_ID0, HMAC_SHA256
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.mp_tcprst import UNSPECIFIED, MpTcprst
from plait.wire.segment import ACK, FIN, RST, SYN, Segment

MANUAL = replace(UNCHECKED, path_manager="default")
MESH = replace(UNCHECKED, path_manager="fullmesh")
V6_NEAR = tuple(ip_address(f"2001:db8::{last}") for last in ("1", "2"))
V6_FAR = (ip_address("2001:db8:1::1"),)
NEAR_AND_FAR = (*NEAR, *FAR, ip_address("10.0.2.2"))
STREAM = bytes(range(256)) * 4000
roles = pytest.mark.parametrize("role", [0, 1], ids=["initiator", "listener"])


def opened(
    settings: Settings = MANUAL,
    *,
    subflows: int = 1,
    near: tuple[IpAddress, ...] = NEAR,
    far: tuple[IpAddress, ...] = FAR,
) -> World:
    world = World(settings, near=near, far=far)
    world.start(subflows=subflows)
    return world


def live(end: End) -> list[SubflowInfo]:
    """Return the subflows that have not ended."""
    told = end.host.info(end.connection_id).subflows
    return [one for one in told if one.tcp.state != "CLOSED"]


def ids(end: End) -> list[int]:
    return [one.id for one in live(end)]


def sent_since(end: End, world: World, act: Callable[[], object]) -> list[Segment]:
    """Return what an end sent in the second after an act."""
    at = len(end.line.sent)
    act()
    world.run(SECOND)
    return [segment for _, segment in end.line.sent[at:]]


# ---- ids


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-01")
@pytest.mark.parametrize("count", [1, 2, 32])
def test_every_subflow_has_an_id_of_its_own(count: int) -> None:
    world = opened(replace(MANUAL, max_subflows=32, max_half_open_joins=32))
    host, name = world.initiator.host, world.initiator.connection_id
    made = [host.open_subflow(world.now, name) for _ in range(count - 1)]
    world.run(SECOND)
    for end in world.ends:
        assert ids(end) == list(range(1, count + 1))
        assert all(one.fully_established for one in live(end))
    assert made == list(range(2, count + 1))


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-02")
def test_an_id_stays_for_life_and_comes_back_only_after_all_others() -> None:
    world = opened()
    host, name = world.initiator.host, world.initiator.connection_id
    given = []
    for _ in range(MAX_SUBFLOWS + 1):
        given.append(host.open_subflow(world.now, name))
        world.run(50 * MILLISECOND)
        assert ids(world.initiator) == [1, given[-1]]
        host.close_subflow(world.now, name, given[-1], "rst")
        world.run(50 * MILLISECOND)
    assert given == [*range(2, 256), 2, 3]  # 1 is in use all the time
    assert {one.local_id for one in host.info(name).subflows} == {0, 1}


# ---- opening


@roles
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-03")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-04")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-11")
@pytest.mark.parametrize(("near", "far"), [(NEAR, FAR), (V6_NEAR, V6_FAR)], ids=["IPv4", "IPv6"])
def test_a_subflow_is_opened_from_either_side_between_the_addresses_asked_for(
    role: int, near: tuple[IpAddress, ...], far: tuple[IpAddress, ...]
) -> None:
    world = opened(near=near, far=far)
    end = world.ends[role]
    first = live(end)[0].path
    local, remote = (near[1], far[0]) if role == 0 else (far[0], near[1])
    made = end.host.open_subflow(
        world.now, end.connection_id, local, remote, local_port=7777, remote_port=80, backup=True
    )
    (opening,) = [one for one in live(end) if one.id == made]
    assert (opening.tcp.state, opening.fully_established) == ("SYN-SENT", False)
    world.run(SECOND)
    (up,) = [one for one in live(end) if one.id == made]
    assert up.fully_established
    path = up.path
    assert (path.local, path.local_port) == (local, 7777)
    assert (path.remote, path.remote_port) == (remote, 80)
    assert live(end)[0].path == first
    (syn,) = [one for _, one in end.line.sent if found([one], MpJoinSyn)]
    assert [option.backup for option in syn.options if isinstance(option, MpJoinSyn)] == [True]
    assert live(world.ends[1 - role])[-1].backup


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-04")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-03")
def test_what_is_left_open_is_an_unused_address_and_the_first_port() -> None:
    world = opened()
    host, name = world.initiator.host, world.initiator.connection_id
    first = live(world.initiator)[0].path
    host.open_subflow(world.now, name)
    host.open_subflow(world.now, name)
    second, third = (one.path for one in live(world.initiator)[1:])
    assert (second.local, second.local_port) == (NEAR[1], first.local_port)
    assert third.local == NEAR[0]
    assert third.local_port != first.local_port  # that 4-tuple is taken
    assert {(one.remote, one.remote_port) for one in (second, third)} == {(FAR[0], 80)}


IMPOSSIBLE: dict[str, tuple[dict[str, object], str]] = {
    "an address that is not ours": ({"local": FAR[0]}, "no address this connection may use"),
    "two families": ({"remote": V6_FAR[0]}, "no IPv6 address of ours"),
    "two families by name": ({"local": NEAR[1], "remote": V6_FAR[0]}, "no path leads from"),
    "a port that is none": ({"local_port": 65536}, "no path leads from"),
    "a path in use": ({"local": NEAR[0], "local_port": 1}, "no free port for a path"),
    "many hosts": ({"remote": ip_address("224.0.0.1")}, "no address of another host"),
    "ourselves": ({"remote": NEAR[1]}, "no address of another host"),
}


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-04")
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_subflow_that_cannot_be_is_refused_at_once(name: str) -> None:
    arguments, text = IMPOSSIBLE[name]
    world = opened()
    host, number = world.initiator.host, world.initiator.connection_id
    if arguments.get("local_port") == 1:
        host.open_subflow(world.now, number, NEAR[0], local_port=1)
    before = ids(world.initiator)
    with pytest.raises(UsageError, match=text):
        host.open_subflow(world.now, number, **arguments)  # type: ignore[arg-type]
    assert ids(world.initiator) == before


def test_one_too_many_is_refused() -> None:
    world = opened(replace(MANUAL, max_subflows=2))
    host, name = world.initiator.host, world.initiator.connection_id
    host.open_subflow(world.now, name)
    with pytest.raises(UsageError, match="2 subflows, as many as it may have"):
        host.open_subflow(world.now, name)


def test_the_peer_can_keep_its_first_address_to_itself() -> None:
    peer = MpPeer(MANUAL, flags=HMAC_SHA256 | DENY_JOIN_ID0)
    host = peer.script.host
    with pytest.raises(UsageError, match="allows no subflows to its first address"):
        host.open_subflow(0, peer.id)
    assert host.open_subflow(0, peer.id, remote=PEER_2) == 2


def test_before_the_peer_has_confirmed_nothing_is_opened() -> None:
    peer = MpPeer(MANUAL, passive=False, confirm=False)
    with pytest.raises(UsageError, match="yet to confirm"):
        peer.script.host.open_subflow(0, peer.id)


# ---- closing


@roles
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-05")
@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("which", [1, 2])
def test_one_subflow_is_closed_in_the_middle_and_nothing_is_lost(
    how: str, which: int, role: int
) -> None:
    world = opened(MESH, subflows=2)
    for end in world.ends:
        end.to_send = STREAM
    world.run(60 * MILLISECOND)
    end = world.ends[role]
    path = next(one.path for one in live(end) if one.id == which)
    before = len(end.line.sent)
    end.host.close_subflow(world.now, end.connection_id, which, how)  # type: ignore[arg-type]
    for one in world.ends:
        one.finish = True
    world.run(200 * SECOND)
    assert [bytes(one.received) for one in world.ends] == [STREAM, STREAM]
    ours = [one for _, one in end.line.sent[before:] if one.flow == path.flow_out()]
    if how == "fin":
        assert any(one.flags & FIN for one in ours)
        assert not any(one.flags & RST for one in ours)
    else:
        resets = [one.options for one in ours if one.flags & RST]
        assert resets[0] == (MpTcprst(UNSPECIFIED),)
    downs = [one.path for one in end.heard(SubflowDown)]
    assert path in downs
    assert all(one.empty for one in world.ends)


@roles
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-10")
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_the_last_one_that_works_is_not_closed(how: str, role: int) -> None:
    world = opened()
    end = world.ends[role]
    text = "subflow 1 is the last one that works"
    with pytest.raises(UsageError, match=text):
        end.host.close_subflow(world.now, end.connection_id, 1, how)  # type: ignore[arg-type]
    made = world.initiator.host.open_subflow(world.now, world.initiator.connection_id)
    with pytest.raises(UsageError, match=text):  # the other one only opens
        end.host.close_subflow(world.now, end.connection_id, 1)
    world.run(SECOND)
    end.host.close_subflow(world.now, end.connection_id, 1)
    world.run(SECOND)
    assert ids(end) == [made]


def test_nor_is_one_whose_only_company_is_silent() -> None:
    peer = MpPeer(MANUAL)
    peer.join()
    peer.connection.subflows[0].doubted_at = peer.script.now + 1
    with pytest.raises(UsageError, match="subflow 2 is the last one that works"):
        peer.script.host.close_subflow(peer.script.now, peer.id, 2)
    peer.script.host.close_subflow(peer.script.now, peer.id, 1, "rst")
    assert [one.id for one in peer.connection.subflows if one.alive] == [2]


@pytest.mark.parametrize("subflow_id", [0, 2, 3])
def test_an_id_that_is_not_in_use_is_refused(subflow_id: int) -> None:
    peer = MpPeer(MANUAL)
    peer.join().send(RST)
    with pytest.raises(UsageError, match=f"has no subflow {subflow_id}"):
        peer.script.host.close_subflow(0, peer.id, subflow_id)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-05")
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_what_the_application_closed_is_made_again_only_if_it_asks(how: str) -> None:
    world = opened(MESH, subflows=2)
    host, name = world.initiator.host, world.initiator.connection_id
    host.close_subflow(world.now, name, 2, how)  # type: ignore[arg-type]
    world.run(100 * SECOND)
    host.on_local_address(world.now, NEAR[1], present=True)  # the path manager looks again
    host.on_local_address(world.now, ip_address("10.0.9.1"), present=True)
    world.run(100 * SECOND)
    assert NEAR[1] not in {one.path.local for one in live(world.initiator)}
    host.open_subflow(world.now, name, NEAR[1])
    world.run(SECOND)
    assert NEAR[1] in {one.path.local for one in live(world.initiator)}


def test_a_subflow_opened_by_name_heals_as_others_do() -> None:
    world = opened(MESH, subflows=2)
    host, name = world.initiator.host, world.initiator.connection_id
    host.close_subflow(world.now, name, 2)
    world.run(SECOND)
    host.open_subflow(world.now, name, NEAR[1])
    world.run(SECOND)
    far = world.listener.connection
    lost = next(one for one in far.subflows if one.alive and not one.first)
    lost.tcp.abort(())
    far.on_subflow_ended(world.now, lost)
    world.listener.host.write(world.now, world.listener.connection_id, b"now")
    world.run(100 * SECOND)
    assert [one.path.local for one in live(world.initiator)] == [NEAR[0], NEAR[1]]


# ---- what is no Multipath TCP


ACTS: dict[str, Callable[[End], object]] = {
    "open": lambda end: end.host.open_subflow(0, end.connection_id),
    "close": lambda end: end.host.close_subflow(0, end.connection_id, 1),
    "read": lambda end: end.host.subflow_settings(end.connection_id, 1),
    "spare": lambda end: end.host.set_backup(0, end.connection_id, 1, backup=True),
    "add": lambda end: end.host.add_addresses(0, end.connection_id, [(NEAR[1], 0)]),
    "remove": lambda end: end.host.remove_addresses(0, end.connection_id, [NEAR[0]]),
}


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-09")
@pytest.mark.parametrize("act", ACTS)
def test_plain_tcp_has_no_subflows_and_says_why(act: str) -> None:
    world = World(MANUAL, replace(MANUAL, mptcp=False))
    for end in world.ends:
        end.finish = False
    world.connect()
    world.run(SECOND)
    with pytest.raises(UsageError, match="plain TCP: no MP_CAPABLE in the SYN/ACK"):
        ACTS[act](world.initiator)


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_done_to_a_connection_that_has_ended(act: str) -> None:
    world = opened()
    end = world.initiator
    end.host.abort(world.now, end.connection_id)
    with pytest.raises(UsageError, match="ended"):
        ACTS[act](end)


# ---- options of one subflow


def marks(segments: list[Segment]) -> dict[bytes, set[tuple[int, int]]]:
    """Return the TOS and TTL of segments by flow."""
    told: dict[bytes, set[tuple[int, int]]] = {}
    for one in segments:
        told.setdefault(one.flow, set()).add((one.marking.tos, one.marking.ttl))
    return told


@pytest.mark.rfc("6897", "4.4.1", "M6897-4.4.1-01")
def test_tos_and_ttl_of_a_connection_are_those_of_all_its_subflows() -> None:
    world = opened(replace(MESH, tos=0xB8 | 3, ttl=9), subflows=2)
    end = world.initiator
    assert [*marks([one for _, one in end.line.sent]).values()] == [{(0xB8, 9)}] * 2
    other = replace(MESH, tos=0x20, ttl=200)

    def act() -> None:
        end.host.change(world.now, end.connection_id, other)
        end.to_send = STREAM

    assert [*marks(sent_since(end, world, act)).values()] == [{(0x20, 200)}] * 2
    assert {one.ecn for _, one in end.line.sent} == {0}


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-07")
def test_one_subflow_has_a_tos_of_its_own_until_the_connection_gets_another() -> None:
    world = opened(MESH, subflows=2)
    host, name = world.initiator.host, world.initiator.connection_id
    first, second = (one.path.flow_out() for one in live(world.initiator))
    own = replace(host.subflow_settings(name, 2), tos=0x20)
    host.change_subflow(world.now, name, 2, own)
    host.change(world.now, name, replace(MESH, scheduler="redundant"))
    world.initiator.to_send = STREAM
    told = marks(sent_since(world.initiator, world, lambda: None))
    assert told == {first: {(0, 64)}, second: {(0x20, 64)}}
    host.change(world.now, name, replace(MESH, tos=0x40))
    world.initiator.to_send = STREAM
    told = marks(sent_since(world.initiator, world, lambda: None))
    assert told == {first: {(0x40, 64)}, second: {(0x40, 64)}}


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-07")
def test_one_subflow_has_a_congestion_control_of_its_own() -> None:
    world = opened(MESH, subflows=2)
    host, name = world.initiator.host, world.initiator.connection_id
    own = replace(host.subflow_settings(name, 2), congestion="reno")
    host.change_subflow(world.now, name, 2, own)
    kinds = [one.tcp.sender.controller.name for one in world.initiator.connection.subflows]
    assert kinds == ["cubic", "reno"]


def test_what_is_no_matter_of_one_subflow_is_refused() -> None:
    world = opened()
    host, name = world.initiator.host, world.initiator.connection_id
    other = replace(host.subflow_settings(name, 1), nodelay=False, tos=4)
    with pytest.raises(UsageError, match="nodelay: no setting of one subflow"):
        host.change_subflow(world.now, name, 1, other)
    assert host.subflow_settings(name, 1).tos == 0


@pytest.mark.rfc("6897", "4.4.2", "M6897-4.4.2-01")
@pytest.mark.parametrize("nodelay", [True, False])
@pytest.mark.parametrize("spared", [1, 2])
def test_nodelay_is_one_rule_for_all_subflows(nodelay: bool, spared: int) -> None:
    peer = MpPeer(replace(MANUAL, nodelay=False))
    flows = [peer.first, peer.join()]
    flows[spared - 1].send(dss=peer.ack(), options=[MpPrio(backup=True)])
    peer.script.host.change(0, peer.id, replace(MANUAL, nodelay=nodelay))
    sent = [one for _ in range(4) for one in peer.script.write(peer.id, b"tiny")]
    assert [one.length for one in sent] == [4] * (4 if nodelay else 1)
    assert {one.flow for one in sent} == {flows[2 - spared].path.flow_in()}


# ---- fate sharing


@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-03")
@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-04")
@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_connection_ends_with_its_first_subflow_if_that_is_the_policy(
    shared: bool, how: str
) -> None:
    world = World(replace(MESH, fate_sharing=shared), MESH)
    world.start()
    host, name = world.listener.host, world.listener.connection_id
    host.close_subflow(world.now, name, 1, how)  # type: ignore[arg-type]
    world.run(100 * SECOND)
    reasons = [one.reason for one in world.initiator.heard(Lost)]
    ended = LossReason.ABORTED if how == "fin" else LossReason.RESET
    assert reasons == ([ended] if shared else [])
    assert bool(world.listener.heard(Lost)) is shared
    assert not Settings().fate_sharing


@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-03")
def test_fate_sharing_does_not_disturb_an_orderly_end() -> None:
    world = World(replace(MESH, fate_sharing=True))
    world.transfer(STREAM, back=STREAM)
    assert len(world.initiator.heard(SubflowUp)) == 2
    assert all(end.empty for end in world.ends)


@pytest.mark.parametrize("most", [0, 256])
def test_a_number_of_subflows_that_ids_cannot_tell_apart_is_refused(most: int) -> None:
    with pytest.raises(UsageError, match="between 1 and 255"):
        Settings(max_subflows=most)


def test_the_third_ack_of_plain_tcp_is_marked_too() -> None:
    peer = TcpPeer(Settings(mptcp=False, timestamps=False, tos=0x10, ttl=3))
    peer.script.write(peer.id, b"data")
    assert marks(peer.flow.sent) == {peer.flow.path.flow_in(): {(0x10, 3)}}
    assert not peer.flow.send(ACK | SYN)[0].marking.tos & 3


# ---- anything, at any time


def _act(draw: Random, end: End, world: World) -> None:
    """Do something to a connection, whether it makes sense now or not."""
    host, name, now = end.host, end.connection_id, world.now
    number = draw.randrange(1, 6)
    address = draw.choice(NEAR_AND_FAR)
    acts: list[Callable[[], object]] = [
        lambda: host.open_subflow(now, name, backup=draw.random() < 0.3),
        lambda: host.open_subflow(now, name, address, draw.choice(NEAR_AND_FAR)),
        lambda: host.close_subflow(now, name, number, "fin"),
        lambda: host.close_subflow(now, name, number, "rst"),
        lambda: host.add_addresses(now, name, [(address, draw.choice((0, 4444)))]),
        lambda: host.remove_addresses(now, name, [address]),
        lambda: host.set_backup(now, name, number, backup=draw.random() < 0.5),
        lambda: host.change(now, name, replace(MESH, tos=4 * draw.randrange(64))),
    ]
    with suppress(UsageError):
        draw.choice(acts)()


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-10")
@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_application_does_the_stream_arrives(seed: int) -> None:
    draw = Random(seed)
    manager, subflows = draw.choice([("default", 1), ("interfaces", 2), ("fullmesh", 4)])
    world = World(replace(MESH, path_manager=manager), near=NEAR, far=NEAR_AND_FAR[len(NEAR) :])
    world.start(subflows=subflows)
    for end in world.ends:
        end.to_send = STREAM
        end.line.hook = losing(Random(seed + 1000))
    for _ in range(15):
        _act(draw, draw.choice(world.ends), world)
        world.run(draw.randrange(60) * MILLISECOND)
    for end in world.ends:
        end.finish = True
    world.run(600 * SECOND)
    assert [bytes(end.received) for end in world.ends] == [STREAM, STREAM]
    assert all(end.empty for end in world.ends)


def losing(draw: Random) -> Hook:
    """Return a hook that loses one segment in fifty."""
    return lambda _, segment: [(0, segment)] if draw.random() > 1 / 50 else []
