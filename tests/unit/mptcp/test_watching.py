"""Paths that fall silent or idle while others work: doubts, measurements, questions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import UNCHECKED, Flow, MpPeer, payload, resets

from plait.host.settings import Settings
from plait.mptcp.inquiry import PROBES
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.mp_tcprst import UNACCEPTABLE_PERFORMANCE, MpTcprst
from plait.wire.segment import Segment

RTT = 50 * MILLISECOND
STEP = 10 * MILLISECOND
DATA = bytes(10_000)


def acknowledge(peer: MpPeer, *flows: Flow) -> None:
    """Acknowledge on these flows what arrived there, and all of the stream that did."""
    for flow in flows:
        flow.send(dss=peer.ack())


def write(peer: MpPeer) -> None:
    """Write what fills both windows."""
    peer.script.write(peer.id, DATA)


def choose(peer: MpPeer, scheduler: str = "default", path_probe: Nanos = 0) -> None:
    """Change settings of the open connection."""
    settings = replace(peer.connection.settings, scheduler=scheduler, path_probe=path_probe)
    assert isinstance(settings, Settings)
    peer.script.host.change(peer.script.now, peer.id, settings)


def measured(settings: Settings = UNCHECKED) -> tuple[MpPeer, Flow]:
    """Return a peer of two subflows, both of which take 50 ms."""
    peer = MpPeer(settings)
    second = peer.join()
    for subflow in peer.connection.subflows:
        for _ in range(50):
            subflow.tcp.sender.rtt.on_sample(RTT)
    return peer, second


def silence(peer: MpPeer, span: Nanos) -> list[Segment]:
    """Let the first flow answer and the second be silent for a while; return what was sent."""
    sent: list[Segment] = []
    for _ in range(span // STEP):
        sent += peer.script.wait(STEP)
        acknowledge(peer, peer.first)
    return sent


def stream_of(peer: MpPeer, flow: Flow, since: int) -> set[int]:
    """Return the stream positions of what a flow carried after its first `since` segments."""
    return {peer.dsn_of(one) for one in flow.sent[since:] if one.length}


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-06")
def test_a_silent_path_is_doubted_before_its_timer_and_its_data_goes_elsewhere() -> None:
    peer, second = measured()
    first_sent, second_sent = len(peer.first.sent), len(second.sent)
    write(peer)
    lost = stream_of(peer, second, second_sent)
    assert lost
    silence(peer, 50 * MILLISECOND)
    assert not lost & stream_of(peer, peer.first, first_sent)
    silence(peer, 80 * MILLISECOND)
    assert lost <= stream_of(peer, peer.first, first_sent)
    assert peer.connection.subflows[1].tcp.sender.timeouts == 0
    assert peer.script.host.counters.subflow_stale == 1


def test_the_only_path_is_not_doubted() -> None:
    peer = MpPeer(UNCHECKED)
    peer.script.host.write(0, peer.id, DATA)
    peer.script.turn()
    peer.script.wait(20 * SECOND)
    assert peer.script.host.counters.subflow_stale == 0


def test_a_path_that_is_heard_again_is_used_again() -> None:
    peer, second = measured()
    write(peer)
    silence(peer, 130 * MILLISECOND)
    subflow = peer.connection.subflows[1]
    assert subflow.stale
    peer.acked = peer.connection.sender.snd_nxt
    acknowledge(peer, peer.first, second)
    assert not subflow.stale


IDLE = {
    "chosen by delay": ("default", 1.0, True),
    "chosen otherwise": ("active-standby", 1.0, False),
    "off": ("default", 0.0, False),
}


@pytest.mark.parametrize(("scheduler", "probe", "expected"), IDLE.values(), ids=IDLE.keys())
def test_a_subflow_left_idle_carries_a_copy_now_and_then(
    scheduler: str, probe: float, expected: bool
) -> None:
    peer, second = measured(replace(UNCHECKED, failback_probe=round(probe * SECOND)))
    for _ in range(50):
        peer.connection.subflows[1].tcp.sender.rtt.on_sample(3 * RTT)
    choose(peer, scheduler=scheduler)
    before, first_before = len(second.sent), len(peer.first.sent)
    for _ in range(60):
        peer.script.write(peer.id, b"little")
        peer.script.wait(RTT)
        peer.acked = peer.connection.sender.snd_nxt
        acknowledge(peer, peer.first, second)
    copies = stream_of(peer, second, before) & stream_of(peer, peer.first, first_before)
    assert bool(copies) == expected
    assert len(copies) <= 4


def test_a_backup_is_spared_copies() -> None:
    peer, second = measured()
    choose(peer, scheduler="default")
    second.send(options=[MpPrio(backup=True)])
    before = len(second.sent)
    for _ in range(60):
        peer.script.write(peer.id, b"little")
        peer.script.wait(RTT)
        peer.acked = peer.connection.sender.snd_nxt
        acknowledge(peer, peer.first)
    assert not payload(second.sent[before:])


@pytest.mark.parametrize("live", [False, True], ids=["from the start", "set live"])
@pytest.mark.parametrize("answers", [True, False], ids=["works", "is dead"])
def test_an_idle_path_is_asked_and_reset_if_it_does_not_answer(answers: bool, live: bool) -> None:
    peer, second = measured(UNCHECKED if live else replace(UNCHECKED, path_probe=5 * SECOND))
    choose(peer, path_probe=5 * SECOND)
    before = len(second.sent)
    seen = before
    for _ in range(100):
        peer.script.wait(100 * MILLISECOND)
        acknowledge(peer, peer.first)
        if answers and len(second.sent) > seen:
            seen = len(second.sent)
            acknowledge(peer, second)
    ended = resets(second.sent[before:])
    assert bool(ended) == (not answers)
    if not answers:
        assert len(second.sent[before:]) == PROBES + 1
        assert ended[0].options == (MpTcprst(UNACCEPTABLE_PERFORMANCE, transient=True),)
        assert [one.alive for one in peer.connection.subflows] == [True, False]


def test_by_default_an_idle_path_is_left_alone() -> None:
    peer, second = measured()
    before = len(second.sent)
    peer.script.wait(600 * SECOND)
    assert len(second.sent) == before
