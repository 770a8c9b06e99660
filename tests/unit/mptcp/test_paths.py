"""The paths of a connection: addresses and ids of both sides, and who may join where."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.script import (
    HOST,
    HOST_2,
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
    syns,
)
from support.world import World

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.host.events import SubflowUp
from plait.host.settings import Settings
from plait.pathing import Action, OpenSubflow, PathManager, View, path_managers
from plait.units import SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_capable import (
    DENY_JOIN_ID0,
    HMAC_SHA256,
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_join import MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_tcprst import (
    LACK_OF_RESOURCES,
    MPTCP_SPECIFIC,
    TOO_MUCH_OUTSTANDING_DATA,
    UNACCEPTABLE_PERFORMANCE,
    UNSPECIFIED,
    MpTcprst,
)
from plait.wire.segment import ACK, RST, SYN, Segment

BEHIND = replace(UNCHECKED, allow_join_initial=False, advertise=f"{HOST}:8443")
"""A server behind a load balancer that reaches it at a port of its own."""


def advertised(
    peer: MpPeer, address: IpAddress = PEER_2, *, address_id: int = 3, port: int = 0
) -> AddAddr:
    """Return the peer's ADD_ADDR with a right HMAC."""
    hmac = peer.keys.advertising_hmac(address_id, address, port)
    return AddAddr(address_id=address_id, address=address, port=port, hmac=hmac)


# ---- flag C


def denials(segments: list[Segment]) -> list[bool]:
    """Return flag C of each MP_CAPABLE."""
    kinds = (MpCapableSyn, MpCapableSynAck, MpCapableAck, MpCapableData)
    flags = [one.flags for one in found(segments, *kinds) if isinstance(one, kinds)]
    return [bool(one & DENY_JOIN_ID0) for one in flags]


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-28")
@pytest.mark.parametrize("denied", [True, False])
@pytest.mark.parametrize("passive", [True, False], ids=["listener", "initiator"])
def test_flag_c_is_in_every_mp_capable_of_a_host_that_takes_no_joins_to_its_first_address(
    passive: bool, denied: bool
) -> None:
    settings = replace(UNCHECKED, allow_join_initial=not denied)
    peer = MpPeer(settings, passive=passive, confirm=passive)
    peer.script.write(peer.id, b"hello")
    flags = denials(peer.first.sent)
    assert len(flags) == (1 if passive else 3)
    assert set(flags) == {denied}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-28")
def test_a_syn_cookie_denies_as_well() -> None:
    peer = MpPeer(replace(UNCHECKED, allow_join_initial=False, syn_cookies="always"))
    assert denials(peer.first.sent) == [True]


def test_version_0_has_no_flag_c() -> None:
    settings = replace(UNCHECKED, mptcp_versions="v0", allow_join_initial=False)
    assert denials(MpPeer(settings).first.sent) == [False]


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-28")
def test_a_server_behind_a_balancer_tells_where_it_can_be_joined() -> None:
    peer = MpPeer(BEHIND)
    (option,) = found(peer.first.sent, AddAddr)
    assert isinstance(option, AddAddr)
    assert (option.address, option.port) == (HOST, 8443)
    assert option.address_id != 0
    flow = peer.script.flow(PEER_2, remote=HOST, remote_port=8443)
    join = MpJoinSyn(token=peer.keys.remote_token, nonce=NONCE, address_id=2)
    (answer,) = flow.send(SYN, options=[join])
    (proof,) = found([answer], MpJoinSynAck)
    assert isinstance(proof, MpJoinSynAck)
    assert proof.address_id == option.address_id
    flow.send(options=[peer.join_ack(flow, answer)])
    assert len(peer.script.heard(SubflowUp)) == 2


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-28")
def test_two_hosts_join_only_what_the_balanced_one_advertises() -> None:
    far = (ip_address("10.0.1.2"), ip_address("10.0.9.9"))
    server = Settings(path_manager="default", allow_join_initial=False, advertise="10.0.9.9:8443")
    world = World(Settings(path_manager="fullmesh"), server, far=far)
    world.start(subflows=3)
    joined = {one.path for one in world.initiator.connection.subflows[1:]}
    assert {(path.remote, path.remote_port) for path in joined} == {(far[1], 8443)}


TEXTS = {
    "": (),
    "10.0.0.7": ((ip_address("10.0.0.7"), 0),),
    "10.0.0.7:8443": ((ip_address("10.0.0.7"), 8443),),
    "2001:db8::7, [2001:db8::8]:80": (
        (ip_address("2001:db8::7"), 0),
        (ip_address("2001:db8::8"), 80),
    ),
}


@pytest.mark.parametrize(("text", "endpoints"), TEXTS.items())
def test_addresses_to_advertise(text: str, endpoints: tuple[tuple[IpAddress, int], ...]) -> None:
    assert Settings(advertise=text).advertised == endpoints


@pytest.mark.parametrize("text", ["here", "10.0.0.7:x", "10.0.0.7:70000", "[::1", "10.0.0.0/8"])
def test_what_is_no_address_to_advertise(text: str) -> None:
    with pytest.raises(UsageError, match="advertise"):
        Settings(advertise=text)


# ---- ids and addresses


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-07")
def test_ids_are_kept_for_both_sides_and_for_each_subflow() -> None:
    peer = MpPeer(replace(UNCHECKED, path_manager="fullmesh"))
    peer.join(PEER_2, address_id=7)
    book = peer.connection.addresses
    assert book.local == {HOST: 0, HOST_2: 1}
    assert book.remote == {0: PEER, 7: PEER_2}
    ids = [(one.local_id, one.remote_id) for one in peer.script.host.info(2).subflows]
    assert ids == [(0, 0), (0, 7)]


@pytest.mark.rfc("8684", "4", "M8684-4-02")
def test_addresses_belong_to_one_connection() -> None:
    one = MpPeer(replace(UNCHECKED, path_manager="fullmesh"), passive=False)
    other = one.script.host.connect(0, PEER, PORT + 1)
    (syn,) = syns(one.script.turn())
    flow = one.script.flows[syn.flow]
    answer = MpCapableSynAck(flags=HMAC_SHA256, sender_key=KEY[::-1])
    flow.send(SYN | ACK, options=[answer])
    one.first.send(options=[advertised(one)])
    assert one.connection.addresses.remote == {0: PEER, 3: PEER_2}
    assert one.script.connection(other).addresses.remote == {0: PEER}


@pytest.mark.rfc("8684", "4", "M8684-4-03")
@pytest.mark.rfc("6182", "7", "M6182-7-01")
def test_the_first_subflow_names_the_connection_even_when_it_is_gone() -> None:
    peer = MpPeer(UNCHECKED)
    before = peer.script.host.info(2).subflows[0].path
    for number in range(2, 40):
        peer.join(PEER_2, address_id=number).send(RST)
    peer.join(PEER_2, address_id=2)
    peer.first.send(RST)
    info = peer.script.host.info(2)
    assert info.subflows[0].path == before
    assert (before.local, before.remote) == (HOST, PEER)


@pytest.mark.rfc("6182", "5.5", "M6182-5.5-01")
def test_paths_with_the_same_addresses_differ_by_their_ports() -> None:
    world = World(Settings(path_manager="ndiffports"))
    world.start(subflows=4)
    paths = [one.path for one in world.listener.connection.subflows]
    assert len({(path.local, path.remote) for path in paths}) == 1
    assert len(set(paths)) == 4


# ---- advertisements


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-06")
def test_an_advertisement_that_is_refreshed_brings_a_lost_subflow_back() -> None:
    peer = MpPeer(replace(UNCHECKED, path_manager="fullmesh"), passive=False)
    for syn in syns(peer.first.send(options=[advertised(peer)])):
        peer.script.flows[syn.flow].send(RST | ACK)
    peer.script.wait(600 * SECOND)
    again = syns(peer.first.send(options=[advertised(peer)]))
    assert PEER_2 in {peer.script.flows[syn.flow].path.local for syn in again}


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-15")
def test_a_wrong_host_at_a_private_address_learns_nothing_and_cannot_join() -> None:
    peer = MpPeer(replace(UNCHECKED, path_manager="fullmesh"), passive=False)
    (syn, *_) = syns(peer.first.send(options=[advertised(peer)]))
    wrong = peer.script.flows[syn.flow]
    proof = MpJoinSynAck(hmac=bytes(8), nonce=1, address_id=3)
    (reset,) = wrong.send(SYN | ACK, options=[proof])
    assert reset.options == (MpTcprst(MPTCP_SPECIFIC),)
    stranger = Script(UNCHECKED)
    stranger.host.listen(0, PORT)
    flow = stranger.flow()
    join = next(one for one in syn.options if isinstance(one, MpJoinSyn))
    (refusal,) = flow.send(SYN, options=[join])
    assert refusal.flags & RST


@pytest.mark.rfc("8684", "3.9.3", "M8684-3.9.3-05")
def test_an_advertised_address_may_go_unused() -> None:
    peer = MpPeer(UNCHECKED, passive=False)
    assert syns(peer.first.send(options=[advertised(peer)])) == []
    peer.data(b"goes on")
    assert peer.script.read(1) == b"goes on"


@pytest.mark.rfc("8684", "3.9.3", "M8684-3.9.3-04")
def test_failed_joins_are_counted_for_who_wants_to_block_their_source() -> None:
    peer = MpPeer(UNCHECKED)
    counters = peer.script.host.counters
    for number in range(3):
        flow, _ = peer.join_syn(port=40_000 + number)
        flow.send(options=[])
        flow = peer.script.flow(PEER_2, 50_000 + number)
        flow.send(SYN, options=[MpJoinSyn(token=number, nonce=1, address_id=2)])
    assert counters.mp_join_no_token_found == 3
    assert len(resets(peer.script.turn())) == 0
    assert sum(len(resets(flow.sent)) for flow in peer.script.flows.values()) == 6


# ---- who joins whom


@pytest.mark.rfc("8684", "3.9.2", "M8684-3.9.2-03")
def test_only_the_initiator_joins_so_that_no_two_subflows_share_a_pair() -> None:
    far = (ip_address("10.0.1.2"), ip_address("10.0.2.2"))
    world = World(Settings(path_manager="fullmesh"), far=far)
    world.start(subflows=4)
    pairs = [(one.path.local, one.path.remote) for one in world.initiator.connection.subflows]
    assert len(set(pairs)) == 4
    assert not any(one.flags & (SYN | ACK) == SYN for _, one in world.listener.line.sent)


REASONS = {
    UNSPECIFIED: False,
    MPTCP_SPECIFIC: False,
    LACK_OF_RESOURCES: True,
    TOO_MUCH_OUTSTANDING_DATA: True,
    UNACCEPTABLE_PERFORMANCE: True,
}


@pytest.mark.rfc("8684", "3.6", "M8684-3.6-03")
@pytest.mark.parametrize(("reason", "transient"), REASONS.items())
def test_flag_t_tells_which_reasons_may_pass(reason: int, transient: bool) -> None:
    peer = MpPeer(UNCHECKED)
    assert peer.connection.version.reasons(reason) == (MpTcprst(reason, transient),)


@pytest.mark.rfc("8684", "3.6", "M8684-3.6-03")
def test_half_open_joins_are_refused_for_now_only() -> None:
    peer = MpPeer(replace(UNCHECKED, max_half_open_joins=1))
    peer.join_syn(port=40_000)
    _, (refusal,) = peer.join_syn(port=40_001)
    assert refusal.options == (MpTcprst(LACK_OF_RESOURCES, transient=True),)


@pytest.mark.rfc("8684", "3.6", "M8684-3.6-03")
@pytest.mark.parametrize("transient", [True, False])
def test_a_path_is_tried_again_if_the_peers_reason_may_pass(transient: bool) -> None:
    world = World(Settings(path_manager="ndiffports"))
    world.start(subflows=4)
    connection = world.listener.connection
    connection.subflows[2].tcp.abort((MpTcprst(LACK_OF_RESOURCES, transient),))
    connection.on_subflow_ended(world.now, connection.subflows[2])
    world.listener.host.write(world.now, world.listener.connection_id, b"now")
    world.run(2 * SECOND)
    assert len(world.initiator.heard(SubflowUp)) == 4 + transient


def test_a_join_that_was_refused_is_not_repeated_at_once() -> None:
    refused = MpTcprst(LACK_OF_RESOURCES, transient=True)
    peer = MpPeer(replace(UNCHECKED, path_manager="ndiffports"), passive=False)
    opening = [flow for flow in peer.script.flows.values() if flow is not peer.first]
    sent = [one for flow in opening for one in flow.send(RST | ACK, options=[refused])]
    assert len(opening) == 3
    assert syns(sent + peer.script.wait(60 * SECOND)) == []


class Choosy(PathManager):
    """Opens one subflow wherever it may."""

    def on_established(self, view: View) -> list[Action]:
        return [OpenSubflow(HOST_2, view.first.remote, view.first.remote_port, 0)]


def test_a_path_manager_of_a_program_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(path_managers._known, "choosy", Choosy)
    peer = MpPeer(replace(UNCHECKED, path_manager="choosy"), passive=False)
    assert len(peer.script.flows) == 2
