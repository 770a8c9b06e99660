"""Path MTU discovery: told by routers (RFC 1191, RFC 8201) or by silence (RFC 4821)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.script import PLAIN, PORT, UNCHECKED, MpPeer, Script, TcpPeer, payload
from support.world import NEAR, World

from plait.host.settings import Settings
from plait.tcp.path_mtu import BASES, CLOSE_ENOUGH, RAISE_AFTER
from plait.units import SECOND, Nanos, Octets
from plait.wire.icmp import IcmpError
from plait.wire.segment import ACK, SYN, Segment
from plait.wire.tcp_options import Mss, SackPermitted

MSS = 1460
DATA = bytes(at % 251 for at in range(8 * MSS))


def a_peer() -> TcpPeer:
    return TcpPeer(PLAIN, options=[Mss(MSS), SackPermitted()])


def too_big(segment: Segment, mtu: Octets) -> IcmpError:
    return IcmpError(version=4, type=3, code=4, mtu=mtu, flow=segment.flow, seq=segment.seq)


def sizes(segments: list[Segment]) -> set[int]:
    return {segment.length for segment in segments if segment.length}


@pytest.mark.rfc("1191", "6.4", "B1191-01")
@pytest.mark.parametrize(("mtu", "mss"), [(1400, 1360), (576, 536), (1499, 1459)])
def test_all_in_flight_is_sent_again_at_once_in_segments_that_fit(mtu: int, mss: int) -> None:
    peer = a_peer()
    sent = peer.script.write(peer.id, DATA)
    before = peer.script.connection(peer.id).subflows[0].tcp.sender.controller.cwnd
    peer.script.host.on_icmp_error(0, too_big(sent[0], mtu))
    again = peer.script.turn()
    assert payload(again) == DATA
    assert max(sizes(again)) == mss
    sender = peer.script.connection(peer.id).subflows[0].tcp.sender
    assert sender.controller.cwnd == before
    assert not sender.recovery.reducing


@pytest.mark.rfc("1191", "3", "B1191-01")
@pytest.mark.parametrize("mtu", [1500, 1501, 9000, 65535])
def test_an_error_never_raises_the_mtu(mtu: int) -> None:
    peer = a_peer()
    sent = peer.script.write(peer.id, DATA)
    peer.script.host.on_icmp_error(0, too_big(sent[0], mtu))
    assert peer.script.turn() == []


@pytest.mark.rfc("1191", "7.1", "B1191-01")
def test_a_router_that_tells_no_mtu_means_the_next_plateau() -> None:
    peer = a_peer()
    sent = peer.script.write(peer.id, DATA)
    peer.script.host.on_icmp_error(0, too_big(sent[0], 0))
    assert max(sizes(peer.script.turn())) == 1492 - 40


@pytest.mark.rfc("1191", "3", "B1191-01")
@pytest.mark.parametrize("mtu", [1, 67, 68, 100])
def test_segments_keep_a_least_size(mtu: int) -> None:
    peer = a_peer()
    sent = peer.script.write(peer.id, DATA)
    peer.script.host.on_icmp_error(0, too_big(sent[0], mtu))
    assert max(sizes(peer.script.turn())) == 88


@pytest.mark.rfc("8201", "4", "B1191-01")
@pytest.mark.parametrize(("mtu", "mss"), [(1400, 1340), (1279, 1220), (68, 1220)])
def test_ipv6_knows_no_mtu_below_1280(mtu: int, mss: int) -> None:
    script = Script(PLAIN, addresses=[ip_address("2001:db8::1")])
    script.host.listen(0, PORT)
    flow = script.flow(ip_address("2001:db8::2"), remote=ip_address("2001:db8::1"))
    flow.send(SYN, options=[Mss(MSS), SackPermitted()])
    flow.send(ACK)
    sent = script.write(2, DATA)
    script.host.on_icmp_error(0, replace(too_big(sent[0], mtu), version=6, type=2, code=0))
    assert max(sizes(script.turn())) == mss


@pytest.mark.rfc("5927", "7.2", "B5927-01")
def test_while_full_segments_arrive_an_error_waits_for_a_time_out() -> None:
    peer = a_peer()
    peer.script.write(peer.id, DATA)
    peer.flow.send(ACK)
    sent = peer.script.write(peer.id, DATA)
    peer.script.host.on_icmp_error(peer.script.now, too_big(sent[0], 600))
    assert peer.script.turn() == []
    again = peer.script.wait(3 * SECOND)
    assert max(sizes(again[1:])) == 560  # the first asks after the tail (RFC 8985, 7)


@pytest.mark.rfc("5927", "7.2", "B5927-01")
def test_progress_refutes_an_error() -> None:
    peer = a_peer()
    peer.script.write(peer.id, DATA)
    peer.flow.send(ACK)
    sent = peer.script.write(peer.id, DATA)
    peer.script.host.on_icmp_error(peer.script.now, too_big(sent[0], 600))
    peer.flow.send(ACK, ack=peer.flow.rcv_nxt - MSS)
    (again, *_) = peer.script.wait(3 * SECOND)
    assert again.length == MSS


@pytest.mark.rfc("5927", "4.1", "B5927-01")
def test_an_error_about_nothing_in_flight_is_ignored() -> None:
    peer = a_peer()
    sent = peer.script.write(peer.id, DATA)
    peer.flow.send(ACK)
    peer.script.host.on_icmp_error(0, too_big(sent[0], 600))
    assert sizes(peer.script.write(peer.id, DATA)) == {MSS}
    assert peer.script.host.counters.out_of_window_icmps == 1


@pytest.mark.rfc("1191", "6.3", "B1191-01")
def test_after_a_while_the_larger_mtu_is_tried_again() -> None:
    peer = a_peer()
    sent = peer.script.write(peer.id, DATA)
    peer.script.host.on_icmp_error(0, too_big(sent[0], 600))
    peer.script.turn()
    peer.flow.send(ACK)
    peer.script.wait(RAISE_AFTER - SECOND)
    assert sizes(peer.script.write(peer.id, DATA[: 3 * MSS])) == {560, 3 * MSS % 560}
    peer.flow.send(ACK)
    peer.script.wait(SECOND)
    assert MSS in sizes(peer.script.write(peer.id, DATA))


@pytest.mark.rfc("4821", "7.7", "B4821-01")
def test_full_segments_that_vanish_are_made_smaller() -> None:
    peer = a_peer()
    peer.script.write(peer.id, DATA)
    again = peer.script.wait(20 * SECOND)
    assert list(dict.fromkeys(segment.length for segment in again)) == [MSS, *BASES]


@pytest.mark.rfc("4821", "7.7", "B4821-01")
def test_small_segments_that_vanish_are_not() -> None:
    peer = a_peer()
    peer.script.write(peer.id, DATA[:100])
    peer.script.wait(20 * SECOND)
    peer.flow.send(ACK)
    assert sizes(peer.script.write(peer.id, DATA)) == {MSS}


@pytest.mark.rfc("8684", "3.3.1", "B1191-01")
def test_a_mapping_survives_the_change_of_size() -> None:
    peer = MpPeer(UNCHECKED)
    sent = peer.script.write(peer.id, DATA)
    peer.script.host.on_icmp_error(0, too_big(sent[0], 400))
    again = peer.script.turn()
    assert payload(again) == payload(sent)
    mappings = {(one.dss.dsn, one.dss.ssn, one.dss.length) for one in sent if one.dss is not None}
    repeated = {(one.dss.dsn, one.dss.ssn, one.dss.length) for one in again if one.dss is not None}
    assert repeated == mappings
    assert max(sizes(again)) == 400 - 40 - 28


# ---- probing


def through(world: World, largest: Octets) -> None:
    """Let only packets up to a size pass from the initiator, and say nothing."""

    def hook(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        return [(0, segment)] if segment.length + 40 + 12 <= largest else []

    world.initiator.line.hook = hook


def searching(largest: Octets, *, probing: str, octets: Octets = 3_000_000) -> tuple[World, Octets]:
    """Return a world in which a long stream passed a hop of this MTU, and the MTU it found."""
    settings = Settings(mptcp=False, mtu_probing=probing)
    world = World(settings, near=NEAR[:1], whole=False)
    through(world, largest)
    world.start(subflows=1)
    world.initiator.to_send = bytes(octets)
    world.run(120 * SECOND)
    assert len(world.listener.received) == octets
    return world, world.initiator.connection.subflows[0].tcp.path_mtu.mtu


@pytest.mark.rfc("4821", "7.3", "B4821-01")
@pytest.mark.parametrize("largest", [1500, 1492, 1400, 1280])
@pytest.mark.parametrize("probing", ["black hole", "always"])
def test_the_largest_size_that_passes_is_found(largest: Octets, probing: str) -> None:
    world, found = searching(largest, probing=probing)
    assert largest - CLOSE_ENOUGH <= found <= largest
    counters = world.initiator.host.counters
    if largest < 1500:
        assert counters.tcp_mtup_success + counters.tcp_mtup_fail > 0


@pytest.mark.rfc("4821", "7.3", "B4821-01")
def test_without_probing_the_base_stays() -> None:
    _, found = searching(1400, probing="off")
    assert found == BASES[0] + 40


@pytest.mark.rfc("4821", "7.6.4", "B4821-01")
def test_the_loss_of_a_probe_is_no_congestion() -> None:
    world, _ = searching(1400, probing="always")
    sender = world.initiator.connection.subflows[0].tcp.sender
    assert world.initiator.host.counters.tcp_mtup_fail > 0
    assert world.initiator.host.counters.tcp_sack_recovery == 0
    assert sender.timeouts == 0


@pytest.mark.rfc("4821", "7.3")
def test_the_peers_segment_size_is_not_exceeded() -> None:
    peer = TcpPeer(replace(PLAIN, mtu_probing="always"), options=[Mss(1200), SackPermitted()])
    sent = peer.script.write(peer.id, bytes(200_000))
    for _ in range(60):
        sent += peer.flow.send(ACK)
    assert 1024 < max(sizes(sent)) <= 1200
