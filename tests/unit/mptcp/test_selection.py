"""The addresses a connection may use (RFC 6897, 5.3.2 and 5.3.3)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.script import HOST, HOST_2, PEER_2, UNCHECKED, Flow, MpPeer, found
from support.world import FAR, NEAR, End, World

from plait.addresses import IpAddress
from plait.errors import AddressError, UsageError
from plait.host.events import AddressWithdrawn
from plait.host.settings import Settings
from plait.mptcp.selection import EVERYTHING, selection_of
from plait.pathing import Action, Advertise, OpenSubflow, PathManager, View, path_managers
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.mptcp.mp_tcprst import ADMINISTRATIVELY_PROHIBITED, MpTcprst
from plait.wire.segment import FIN, RST, SYN, Segment

THREE = (*NEAR, ip_address("10.0.3.1"))
V6 = ip_address("2001:db8::1")
V6_FAR = ip_address("2001:db8::2")
MESH = replace(UNCHECKED, path_manager="fullmesh")
STREAM = bytes(range(256)) * 8000


def locals_of(end: End) -> set[IpAddress]:
    """Return the addresses of the subflows that carry data."""
    return {one.path.local for one in end.connection.subflows if one.can_send}


def additions(segments: list[Segment]) -> list[AddAddr]:
    """Return the ADD_ADDRs of segments."""
    return [one for one in found(segments, AddAddr) if isinstance(one, AddAddr)]


# ---- before the connection opens


@pytest.mark.rfc("6897", "4.2.1", "M6897-4.2.1-02")
def test_without_a_choice_every_address_may_be_used() -> None:
    world = World(MESH, near=THREE)
    world.start(subflows=3)
    assert locals_of(world.initiator) == set(THREE)


class Greedy(PathManager):
    """Wants all there is and says so, whatever the view shows."""

    def on_established(self, view: View) -> list[Action]:
        joins = [OpenSubflow(one, FAR[0], 80, 0) for one in THREE]
        return [*joins, *(Advertise(one) for one in THREE)]


@pytest.mark.rfc("6897", "5.2", "M6897-5.2-02")
@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-02")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-01")
@pytest.mark.parametrize("manager", [*path_managers._known, "greedy"])
@pytest.mark.parametrize("role", [0, 1], ids=["initiator", "listener"])
def test_only_the_addresses_chosen_are_used_and_advertised(
    manager: str, role: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(path_managers._known, "greedy", Greedy)
    chosen = replace(MESH, path_manager=manager, local_addresses=f"{NEAR[0]}, {NEAR[1]}")
    free = replace(UNCHECKED, path_manager="default")
    near, far = (THREE, FAR) if role == 0 else (FAR, THREE)
    world = World(*((chosen, free) if role == 0 else (free, chosen)), near=near, far=far)
    for end in world.ends:
        end.finish = False
    world.connect()
    world.run(SECOND)
    end = world.ends[role]
    end.host.on_local_address(world.now, ip_address("10.0.4.1"), present=True)
    world.run(10 * SECOND)
    sources = {segment.flow[:4] for _, segment in end.line.sent}
    assert sources <= {one.packed for one in NEAR}
    segments = [segment for _, segment in end.line.sent]
    assert {one.address for one in additions(segments)} <= set(NEAR)
    assert set(end.connection.local_addresses) == set(NEAR)


def test_the_first_address_is_one_of_them_whatever_was_chosen() -> None:
    world = World(replace(MESH, local_addresses=str(NEAR[1])), MESH, near=THREE)
    for end in world.ends:
        end.finish = False
    host = world.initiator.host
    world.initiator.connection_id = host.connect(0, FAR[0], 80, local=THREE[2])
    world.run(SECOND)
    assert locals_of(world.initiator) == {NEAR[1], THREE[2]}


def test_a_connection_leaves_from_an_address_that_was_chosen() -> None:
    world = World(replace(MESH, local_addresses=f"{THREE[2]}:5555"), MESH, near=THREE)
    world.start(subflows=1)
    path = world.initiator.connection.subflows[0].path
    assert (path.local, path.local_port) == (THREE[2], 5555)


def test_an_address_that_is_not_ours_opens_no_connection() -> None:
    world = World(replace(MESH, local_addresses=f"{NEAR[0]},10.9.9.9"))
    with pytest.raises(AddressError, match=r"10\.9\.9\.9 is no address of this host"):
        world.connect()


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-02")
def test_a_port_given_is_bound_and_advertised() -> None:
    world = World(
        replace(MESH, local_addresses=f"{NEAR[0]},{NEAR[1]}:6666"),
        replace(MESH, path_manager="fullmesh"),
        near=THREE,
    )
    world.start()
    paths = [one.path for one in world.initiator.connection.subflows]
    assert [one.local for one in paths] == list(NEAR)
    assert paths[1].local_port == 6666 != paths[0].local_port
    listener = World(MESH, replace(MESH, local_addresses=f"{THREE[2]}:99"), near=FAR, far=THREE)
    listener.start()
    option = additions([one for _, one in listener.listener.line.sent])[0]
    assert (option.address, option.port) == (THREE[2], 99)


def test_a_port_in_use_costs_the_subflow_and_nothing_else() -> None:
    settings = replace(MESH, local_addresses=f"{NEAR[0]},{NEAR[1]}:6666")
    world = World(settings, MESH)
    world.start()
    other = world.initiator.host.connect(world.now, FAR[0], 80, settings=settings)
    world.run(SECOND)
    assert len(world.initiator.host.info(other).subflows) == 1


@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-02")
def test_a_join_to_another_address_of_ours_is_refused() -> None:
    peer = MpPeer(replace(UNCHECKED, local_addresses=str(HOST)))
    flow = peer.script.flow(PEER_2, remote=HOST_2)
    option = MpJoinSyn(token=peer.keys.remote_token, nonce=1, address_id=2)
    (answer,) = flow.send(SYN, options=[option])
    assert answer.flags & RST
    assert answer.options == (MpTcprst(ADMINISTRATIVELY_PROHIBITED),)


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-07")
def test_both_families_are_chosen_in_one_go() -> None:
    chosen = f"[{V6}]:443, {NEAR[1]}"
    world = World(
        replace(MESH, local_addresses=chosen), MESH, near=(*THREE, V6), far=(*FAR, V6_FAR)
    )
    world.start()
    assert locals_of(world.initiator) == {NEAR[1], V6}
    assert replace(MESH, local_addresses=chosen).chosen == ((V6, 443), (NEAR[1], 0))


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.1:65536", "[2001:db8::1]"])
def test_what_is_no_address_is_no_setting(text: str) -> None:
    with pytest.raises(UsageError, match="local_addresses: "):
        Settings(local_addresses=text)


# ---- while it is open


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-04")
@pytest.mark.parametrize(("manager", "joins"), [("fullmesh", 1), ("default", 0)])
def test_an_address_added_is_a_hint_to_the_path_manager(manager: str, joins: int) -> None:
    settings = replace(MESH, path_manager=manager, local_addresses=str(NEAR[0]))
    world = World(settings, MESH, near=(*THREE, V6))
    world.start(subflows=1)
    host, name = world.initiator.host, world.initiator.connection_id
    host.add_addresses(world.now, name, [(NEAR[1], 7777), (V6, 0)])
    world.run(SECOND)
    paths = [one.path for one in world.initiator.connection.subflows[1:]]
    assert [(one.local, one.local_port) for one in paths] == [(NEAR[1], 7777)] * joins
    assert set(world.initiator.connection.local_addresses) == {*NEAR, V6}


@pytest.mark.rfc("6897", "7", "M6897-7-01")
def test_an_address_that_is_not_ours_is_not_added_nor_any_beside_it() -> None:
    world = World(replace(MESH, local_addresses=str(NEAR[0])), MESH, near=THREE)
    world.start(subflows=1)
    host, name = world.initiator.host, world.initiator.connection_id
    with pytest.raises(AddressError, match=r"10\.9\.9\.9 is no address of this host"):
        host.add_addresses(world.now, name, [(NEAR[1], 0), (ip_address("10.9.9.9"), 0)])
    assert world.initiator.connection.local_addresses == [NEAR[0]]


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-05")
@pytest.mark.parametrize("role", [0, 1], ids=["initiator", "listener"])
def test_an_address_removed_is_drained_closed_and_told(role: int) -> None:
    near, far = (NEAR, FAR) if role == 0 else (FAR, NEAR)
    world = World(MESH, near=near, far=far)
    world.start()
    world.initiator.to_send = world.listener.to_send = STREAM
    world.run(60 * MILLISECOND)
    end = world.ends[role]
    path = next(one.path for one in end.connection.subflows if one.path.local == NEAR[1])
    end.host.remove_addresses(world.now, end.connection_id, [NEAR[1]])
    world.run(5 * SECOND)
    own = [one for _, one in end.line.sent if one.flow == path.flow_out()]
    assert any(one.flags & FIN for one in own)
    assert not any(one.flags & RST for one in own)
    assert [one.address for one in world.ends[1 - role].heard(AddressWithdrawn)] == [NEAR[1]]
    assert [bytes(one.received) for one in world.ends] == [STREAM, STREAM]


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-05")
def test_an_address_removed_is_not_used_until_it_is_added_again() -> None:
    world = World(MESH, near=THREE)
    world.start(subflows=3)
    host, name = world.initiator.host, world.initiator.connection_id
    host.remove_addresses(world.now, name, [NEAR[1]])
    world.run(5 * SECOND)
    host.on_local_address(world.now, NEAR[1], present=True, mtu=1400)
    host.change(world.now, name, replace(MESH, path_manager="interfaces"))
    world.run(5 * SECOND)
    assert locals_of(world.initiator) == {NEAR[0], THREE[2]}
    host.add_addresses(world.now, name, [(NEAR[1], 0)])
    world.run(5 * SECOND)
    assert locals_of(world.initiator) == set(THREE)


# ---- identity


@pytest.mark.rfc("6897", "5.2", "M6897-5.2-04")
@pytest.mark.rfc("6897", "5.3.5", "M6897-5.3.5-01")
def test_a_thousand_connections_have_a_thousand_ids() -> None:
    world = World(MESH)
    host = world.initiator.host
    made = [host.connect(0, FAR[0], 80, settings=UNCHECKED) for _ in range(1000)]
    tokens = {entry.connection.keys.local_token for entry in host._connections.by_id.values()}
    assert len(tokens) == len(made) == 1000
    assert tokens == set(host._connections.by_token)


@pytest.mark.rfc("6897", "6.4", "M6897-6.4-01")
def test_nothing_is_joined_but_the_first_address_and_what_the_peer_advertised() -> None:
    peer = MpPeer(MESH, passive=False)

    def joined() -> set[IpAddress]:
        flows: list[Flow] = list(peer.script.flows.values())
        return {
            flow.path.local
            for flow in flows
            if any(found([one], MpJoinSyn) and one.flags & SYN for one in flow.sent)
        }

    peer.script.wait(10 * SECOND)
    assert joined() == {peer.first.path.local}
    hmac = peer.keys.advertising_hmac(3, PEER_2, 0)
    peer.first.send(options=[AddAddr(address_id=3, address=PEER_2, hmac=hmac)])
    assert joined() == {peer.first.path.local, PEER_2}


# ---- the value


addresses = st.sampled_from([*THREE, V6])


@given(
    chosen=st.lists(st.tuples(addresses, st.integers(0, 9))),
    changes=st.lists(st.tuples(st.booleans(), st.frozensets(addresses))),
)
def test_what_was_said_last_of_an_address_holds(
    chosen: list[tuple[IpAddress, int]],
    changes: list[tuple[bool, frozenset[IpAddress]]],
) -> None:
    selection = selection_of(chosen)
    admitted = {one for one, _ in chosen} if chosen else {*THREE, V6}
    for added, named in changes:
        if added:
            selection = selection.including([(one, 0) for one in named])
            admitted |= named
        else:
            selection = selection.without(named)
            admitted -= named
    assert {one for one in (*THREE, V6) if selection.admits(one)} == admitted
    assert selection.ports == {one: port for one, port in chosen if port}
    assert EVERYTHING.ports == {}
