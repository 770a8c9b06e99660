"""Keep-alive and the user time-out: how long a silent peer is believed to be there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import PLAIN, UNCHECKED, MpPeer, TcpPeer

from plait.host.events import LossReason
from plait.host.settings import Settings
from plait.units import SECOND
from plait.wire.segment import ACK, RST, Segment

IDLE = 100 * SECOND
INTERVAL = 10 * SECOND


def kept_alive(settings: Settings) -> Settings:
    return replace(
        settings,
        keepalive=True,
        keepalive_idle=IDLE,
        keepalive_interval=INTERVAL,
        keepalive_probes=3,
    )


KEPT = kept_alive(PLAIN)


def is_probe(peer: TcpPeer, segment: Segment) -> bool:
    return peer.flow.position(segment) == peer.flow.rcv_nxt - 1 and segment.length == 0


@pytest.mark.rfc("9293", "3.8.4", "B9293-12")
def test_off_by_default() -> None:
    peer = TcpPeer(PLAIN)
    assert not Settings().keepalive
    assert Settings().keepalive_idle >= 2 * 3600 * SECOND
    assert peer.script.wait(10 * Settings().keepalive_idle) == []
    assert peer.script.endings() == []


@pytest.mark.rfc("9293", "3.8.4", "B9293-12")
def test_an_idle_peer_is_probed_and_kept_while_it_answers() -> None:
    peer = TcpPeer(KEPT)
    for _ in range(5):
        assert peer.script.wait(IDLE - 1) == []
        (probe,) = peer.script.wait(1)
        assert is_probe(peer, probe)
        assert peer.flow.send(ACK) == []
    assert peer.script.endings() == []


@pytest.mark.rfc("9293", "3.8.4", "B9293-12")
def test_no_single_unanswered_probe_kills() -> None:
    peer = TcpPeer(KEPT)
    sent = peer.script.wait(IDLE + 2 * INTERVAL)
    assert len(sent) == 3
    assert all(is_probe(peer, segment) for segment in sent)
    assert peer.script.endings() == []
    (reset,) = peer.script.wait(INTERVAL)
    assert reset.flags & RST
    assert peer.script.endings() == [LossReason.TIMED_OUT]


def test_any_segment_starts_the_wait_anew() -> None:
    peer = TcpPeer(KEPT)
    peer.script.wait(IDLE - SECOND)
    peer.flow.send(ACK, b"here")
    assert peer.script.wait(IDLE - 1) == []
    assert len(peer.script.wait(1)) == 1


def test_an_answer_starts_the_count_of_probes_anew() -> None:
    peer = TcpPeer(KEPT)
    peer.script.wait(IDLE + 2 * INTERVAL)
    peer.flow.send(ACK)
    assert len(peer.script.wait(IDLE + 2 * INTERVAL)) == 3
    assert peer.script.endings() == []


def test_data_under_way_is_left_to_the_retransmission_timer() -> None:
    peer = TcpPeer(KEPT)
    (first,) = peer.script.write(peer.id, b"data")
    sent = peer.script.wait(IDLE + INTERVAL)
    assert sent
    assert all(segment.seq == first.seq and segment.length == 4 for segment in sent)


def test_a_subflow_of_a_multipath_connection_is_given_up() -> None:
    peer = MpPeer(kept_alive(UNCHECKED))
    peer.script.wait(IDLE + 3 * INTERVAL)
    assert not any(subflow.alive for subflow in peer.script.connection(peer.id).subflows)
    peer.script.wait(UNCHECKED.no_subflow_timeout)
    assert peer.script.endings() == [LossReason.TIMED_OUT]


@pytest.mark.rfc("9293", "3.9.1.8", "B5482-01")
@pytest.mark.parametrize("seconds", [1, 7, 30])
def test_the_user_time_out_bounds_the_wait_for_an_acknowledgment(seconds: int) -> None:
    peer = TcpPeer(replace(PLAIN, user_timeout=seconds * SECOND))
    peer.script.write(peer.id, b"data")
    peer.script.wait(seconds * SECOND - 1)
    assert peer.script.endings() == []
    peer.script.wait(1)
    assert peer.script.endings() == [LossReason.TIMED_OUT]


def test_progress_starts_the_user_time_out_anew() -> None:
    peer = TcpPeer(replace(PLAIN, user_timeout=5 * SECOND))
    for _ in range(4):
        peer.script.write(peer.id, b"data")
        peer.script.wait(4 * SECOND)
        peer.flow.send(ACK)
    assert peer.script.endings() == []


@pytest.mark.rfc("9293", "3.8.6.1", "B6429-01")
def test_the_user_time_out_ends_a_closed_window_that_nobody_confirms() -> None:
    peer = TcpPeer(replace(PLAIN, user_timeout=5 * SECOND))
    peer.flow.send(ACK, window=0)
    peer.script.write(peer.id, b"data")
    peer.script.wait(20 * SECOND)
    assert peer.script.endings() == [LossReason.TIMED_OUT]


def test_the_user_time_out_bounds_keep_alive() -> None:
    peer = TcpPeer(replace(KEPT, user_timeout=IDLE + INTERVAL))
    peer.script.wait(IDLE + INTERVAL)
    assert peer.script.endings() == [LossReason.TIMED_OUT]
