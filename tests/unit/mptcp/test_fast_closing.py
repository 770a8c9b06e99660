"""FASTCLOSE_WAIT: aborting a connection of version 0 (RFC 6824, 3.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import KEY, VERSION_0, Flow, MpPeer, payload, resets
from support.world import World

from plait.host.events import LossReason, Lost
from plait.host.settings import Settings
from plait.mptcp.fast_closing import TRIES
from plait.mptcp.state import State
from plait.units import SECOND
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.segment import ACK, RST, Segment


@pytest.fixture
def peer() -> MpPeer:
    return MpPeer(VERSION_0)


def told(segments: list[Segment]) -> list[Segment]:
    acks = [one for one in segments if not one.flags & RST]
    return [one for one in acks if MpFastclose(KEY) in one.options]


def abort(peer: MpPeer) -> list[Segment]:
    peer.script.host.abort(peer.script.now, 2)
    return peer.script.turn()


def forgotten(peer: MpPeer) -> bool:
    known = peer.script.host._connections
    return not (known.by_id or known.by_flow or known.by_token)


@pytest.mark.rfc("6824", "3.5", "M6824-3.5-01")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-02")
def test_one_subflow_tells_it_on_an_ack_and_the_others_are_reset(peer: MpPeer) -> None:
    second = peer.join()
    sent = abort(peer)
    (ack,) = told(sent)
    assert (ack.flow, ack.flags, ack.length) == (peer.first.path.flow_in(), ACK, 0)
    (reset,) = resets(sent)
    assert (reset.flow, reset.options) == (second.path.flow_in(), ())
    assert peer.connection.state is State.FASTCLOSE_WAIT
    assert peer.script.endings() == [LossReason.ABORTED]


@pytest.mark.rfc("6824", "3.5", "M6824-3.5-01")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-07")
@pytest.mark.parametrize("answer", ["RST", "MP_FASTCLOSE"])
def test_the_answer_ends_the_waiting(peer: MpPeer, answer: str) -> None:
    abort(peer)
    assert not forgotten(peer)
    if answer == "RST":
        sent = peer.first.send(RST)
    else:
        option = MpFastclose(peer.keys.remote)
        sent = peer.first.send(dss=peer.ack(), options=[option])
        assert [one.options for one in resets(sent)] == [()]
    assert forgotten(peer)
    assert peer.script.wait(60 * SECOND) == []
    assert peer.script.endings() == [LossReason.ABORTED]


@pytest.mark.rfc("6824", "3.5", "M6824-3.5-01")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-08")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-09")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-10")
def test_without_an_answer_it_is_repeated_three_times_and_then_given_up(peer: MpPeer) -> None:
    sent = abort(peer) + peer.script.wait(60 * SECOND)
    assert len(told(sent)) == TRIES == 4
    (reset,) = resets(sent)
    assert reset is sent[-1]
    assert reset.options == (MpFastclose(KEY),)
    assert forgotten(peer)


def test_nothing_else_is_said_or_heard_while_it_waits(peer: MpPeer) -> None:
    peer.script.write(2, bytes(200_000))
    sent = abort(peer)
    sent += peer.data(b"more") + peer.data_fin()
    peer.acked = 5000
    sent += peer.first.send(dss=peer.ack())
    flow, answers = peer.join_syn()
    assert [one.flags & RST for one in answers] == [RST]
    assert isinstance(flow, Flow)
    assert payload(sent) == b""
    assert peer.connection.receiver.unread == 0
    peer.script.wait(60 * SECOND)
    assert forgotten(peer)


def test_data_that_waits_for_its_data_ack_hastens_nothing() -> None:
    peer = MpPeer(replace(VERSION_0, data_retries=0))
    peer.join()
    peer.script.write(2, b"hello")
    peer.first.send(dss=peer.ack())
    sent = abort(peer) + peer.script.wait(60 * SECOND)
    assert len(told(sent)) == TRIES


def test_a_peer_that_speaks_tcp_by_then_ends_the_waiting_with_its_rst(peer: MpPeer) -> None:
    abort(peer)
    peer.first.send(ACK, b"plain")
    peer.first.send(RST)
    assert forgotten(peer)


@pytest.mark.rfc("6824", "3.5", "M6824-3.5-01")
def test_the_peers_is_answered_with_rsts_on_every_subflow(peer: MpPeer) -> None:
    peer.join()
    option = MpFastclose(peer.keys.remote)
    sent = peer.first.send(dss=peer.ack(), options=[option])
    assert [(one.flags & RST, one.options) for one in sent] == [(RST, ())] * 2
    assert peer.script.endings() == [LossReason.RESET]


@pytest.mark.rfc("6824", "3.5", "M6824-3.5-01")
def test_on_a_rst_it_means_no_more_than_the_rst() -> None:
    peer = MpPeer(VERSION_0)
    second = peer.join()
    second.send(RST, options=[MpFastclose(peer.keys.remote)])
    peer.data(b"hello")
    assert peer.script.read(2) == b"hello"


def test_an_unanswered_data_fin_ends_like_an_abort() -> None:
    peer = MpPeer(replace(VERSION_0, data_retries=2))
    peer.join()
    sent = peer.script.close(2) + peer.script.wait(60 * SECOND)
    assert len(told(sent)) == TRIES
    assert peer.script.endings() == [LossReason.TIMED_OUT]
    assert forgotten(peer)


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_both_hosts_forget_whatever_is_lost(lost: int) -> None:
    world = World(Settings(mptcp_versions="v0"))
    world.start()
    left = lost

    def hook(_now: int, segment: Segment) -> list[tuple[int, Segment]]:
        nonlocal left
        if left and any(isinstance(option, MpFastclose) for option in segment.options):
            left -= 1
            return []
        return [(0, segment)]

    world.initiator.line.hook = hook
    world.initiator.host.abort(world.now, world.initiator.connection_id)
    world.run()
    assert [end.reason for end in world.initiator.heard(Lost)] == [LossReason.ABORTED]
    assert [end.reason for end in world.listener.heard(Lost)] == [LossReason.RESET]
    assert world.initiator.empty
    assert world.listener.empty
