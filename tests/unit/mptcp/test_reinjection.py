"""Data of subflows that fail goes elsewhere (RFC 8684, 3.3.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import HOST, HOST_2, UNCHECKED, Flow, MpPeer, payload, resets
from support.world import NEAR, World

from plait.host.events import LossReason, SubflowDown
from plait.host.settings import Settings
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.mptcp.mp_tcprst import (
    TOO_MUCH_OUTSTANDING_DATA,
    UNACCEPTABLE_PERFORMANCE,
    MpTcprst,
)
from plait.wire.segment import ACK, RST, Segment

STREAM = bytes(range(256)) * 4000


def loaded() -> tuple[MpPeer, Flow]:
    """Return a host that has sent data on two subflows, none of it acknowledged."""
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    peer.script.host.write(0, 2, bytes(range(200)) * 50)
    peer.script.turn()
    assert payload(peer.first.sent)
    assert payload(second.sent)
    return peer, second


def places(peer: MpPeer, flow: Flow) -> set[int]:
    """Return the stream positions of the segments sent on a flow."""
    return {peer.dsn_of(segment) for segment in flow.sent if segment.length}


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-06")
def test_a_reset_subflows_data_goes_to_the_other() -> None:
    peer, second = loaded()
    lost = places(peer, second)
    second.send(RST)
    peer.acked = min(lost)
    peer.first.send(dss=peer.ack())
    peer.first.send(dss=peer.ack())
    assert lost <= places(peer, peer.first)


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-01")
@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-03")
@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-06")
def test_after_a_time_out_it_goes_to_the_other_and_still_to_its_own() -> None:
    peer, second = loaded()
    lost = places(peer, second)
    before = len([one for one in second.sent if one.length])
    for _ in range(40):
        peer.acked = min(lost)
        peer.first.send(dss=peer.ack())
        peer.script.wait(100 * MILLISECOND)
    assert lost <= places(peer, peer.first)
    again = [one for one in second.sent if one.length][before:]
    assert again
    assert {peer.dsn_of(one) for one in again} <= lost


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-04")
def test_what_a_box_acknowledges_and_drops_is_sent_again() -> None:
    peer = MpPeer(UNCHECKED)
    peer.script.write(2, b"swallowed")
    peer.first.send(dss=peer.ack())
    again = peer.script.wait(2 * SECOND)
    assert payload(again).startswith(b"swallowed")
    assert peer.dsn_of(again[0]) == 1
    assert peer.first.position(again[0]) == 10


def test_what_a_subflow_still_works_on_is_not_sent_again_by_that_timer() -> None:
    peer = MpPeer(UNCHECKED)
    peer.script.write(2, b"late")
    peer.script.wait(2 * SECOND)
    assert {peer.first.position(one) for one in peer.first.sent if one.length} == {1}


@pytest.mark.rfc("6182", "2.1", "M6182-2.1-01")
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("back", [False, True], ids=["one way", "both ways"])
def test_a_transfer_survives_the_loss_of_either_path(index: int, back: bool) -> None:
    world = World()
    dead = NEAR[index].packed

    def cut(now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        return [] if now > 90 * MILLISECOND and dead in segment.flow else [(0, segment)]

    for end in world.ends:
        end.line.hook = cut
    world.transfer(STREAM, back=STREAM if back else b"", span=300 * SECOND)
    assert world.initiator.host.counters.mptcp_retrans or back
    assert all(end.empty for end in world.ends)


def test_a_path_that_comes_back_is_used_again() -> None:
    world = World(replace(UNCHECKED, path_manager="fullmesh"))
    world.start()
    second = NEAR[1].packed

    def cut(now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        dead = SECOND < now < 5 * SECOND and second in segment.flow
        return [] if dead else [(0, segment)]

    for end in world.ends:
        end.line.hook = cut
    for _ in range(12):
        world.initiator.to_send = STREAM
        world.run(SECOND)
    late = [
        segment
        for at, segment in world.initiator.line.sent
        if at > 8 * SECOND and second in segment.flow and segment.length
    ]
    assert late
    assert bytes(world.listener.received) == STREAM * 12
    assert not world.initiator.heard(SubflowDown)


def test_an_address_may_go_and_come_back() -> None:
    world = World(replace(UNCHECKED, path_manager="fullmesh"))
    world.start()
    world.initiator.to_send = STREAM
    world.run(30 * MILLISECOND)
    host = world.initiator.host
    host.on_local_address(world.now, HOST_2, present=False)
    world.run(SECOND)
    host.on_local_address(world.now, HOST_2, present=True)
    world.run(90 * SECOND)
    assert bytes(world.listener.received) == STREAM
    gone = world.initiator.heard(SubflowDown)
    assert [event.path.local for event in gone] == [HOST_2]
    assert [one.path.local for one in world.initiator.connection.subflows if one.can_send] == [
        HOST,
        HOST_2,
    ]


def test_unanswered_data_acks_do_not_multiply() -> None:
    peer = MpPeer(UNCHECKED)
    peer.script.write(2, b"x")
    peer.first.send(ACK, dss=peer.ack())
    sent = peer.script.wait(60 * SECOND)
    assert len(sent) < 100


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-04")
def test_data_that_subflows_deliver_in_vain_is_given_up_in_the_end() -> None:
    peer = MpPeer(UNCHECKED)
    flows = (peer.first, peer.join())
    peer.script.write(2, b"swallowed")
    for _ in range(2000):
        peer.script.wait(100 * MILLISECOND)
        for flow in flows:
            flow.send(dss=peer.ack())
    assert peer.script.endings() == [LossReason.TIMED_OUT]
    copies = [one for flow in flows for one in flow.sent if one.length]
    assert 10 <= len(copies) <= 20


# ---- paths that fail again and again


def failing(timeouts: int) -> tuple[MpPeer, Flow]:
    """Return a host whose second subflow does not answer any more."""
    peer = MpPeer(replace(UNCHECKED, bad_path_timeouts=timeouts))
    second = peer.join()
    peer.script.host.write(0, 2, bytes(range(200)) * 50)
    peer.script.turn()
    assert payload(second.sent)
    return peer, second


@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-08")
@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-07")
@pytest.mark.parametrize("delivered", [True, False])
def test_a_path_that_fails_again_and_again_is_reset_with_a_reason(delivered: bool) -> None:
    peer, second = failing(3)
    head = min(places(peer, second))
    for _ in range(60):
        peer.acked = 10_001 if delivered else head
        peer.first.send(dss=peer.ack())
        peer.script.wait(100 * MILLISECOND)
    (reset,) = resets(second.sent)
    reason = TOO_MUCH_OUTSTANDING_DATA if delivered else UNACCEPTABLE_PERFORMANCE
    assert reset.options == (MpTcprst(reason, transient=True),)
    assert len(peer.script.heard(SubflowDown)) == 1
    assert delivered or head in places(peer, peer.first)


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-07")
def test_by_default_such_a_path_is_kept() -> None:
    peer, second = failing(Settings().bad_path_timeouts)
    for _ in range(600):
        peer.acked = 10_001
        peer.first.send(dss=peer.ack())
        peer.script.wait(100 * MILLISECOND)
    assert resets(second.sent) == []


def test_the_only_path_is_never_reset_for_its_performance() -> None:
    peer = MpPeer(replace(UNCHECKED, bad_path_timeouts=1))
    peer.script.write(2, b"hello")
    peer.script.wait(30 * SECOND)
    assert resets(peer.first.sent) == []


@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-06")
def test_what_a_receiver_took_and_threw_away_is_sent_again() -> None:
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    peer.script.write(2, bytes(range(200)) * 50)
    for flow in (peer.first, second):
        flow.send(dss=peer.ack())  # all of it is acknowledged, none of it at the data level
    again = peer.script.wait(10 * SECOND)
    assert min(peer.dsn_of(one) for one in again if one.length) == 1


@pytest.mark.rfc("8684", "3.3.7", "M8684-3.3.7-02")
def test_a_loss_is_the_business_of_the_controller_of_its_own_subflow() -> None:
    peer, second = loaded()
    first, other = (one.tcp.sender.controller for one in peer.connection.subflows)
    before = (first.cwnd, other.cwnd)
    for _ in range(10):
        peer.acked = min(places(peer, second))
        peer.first.send(dss=peer.ack())
        peer.script.wait(100 * MILLISECOND)
    assert other.cwnd < before[1]
    assert first.cwnd >= before[0]
