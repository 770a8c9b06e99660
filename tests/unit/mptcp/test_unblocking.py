"""A slow subflow that fills the window: its data goes over a fast one, and it is slowed down."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import UNCHECKED, Flow, MpPeer

from plait.units import MILLISECOND, Octets

FAST = 10 * MILLISECOND
SLOW = 200 * MILLISECOND
WINDOW: Octets = 8000
ROOM: Octets = 3000
FIRST_WINDOW: Octets = 65536
"""What the peer's SYN told: no later window is less."""


def two_paths() -> tuple[MpPeer, Flow]:
    """Return a peer whose first flow takes 10 ms and whose second one 200 ms."""
    peer = MpPeer(UNCHECKED)
    second = peer.join()
    while peer.acked < FIRST_WINDOW:
        peer.script.write(peer.id, bytes(WINDOW))
        peer.script.wait(FAST)
        peer.acked = peer.connection.sender.snd_nxt
        peer.first.send(dss=peer.ack(), window=WINDOW)
        second.send(dss=peer.ack(), window=WINDOW)
    for subflow, rtt in zip(peer.connection.subflows, (FAST, SLOW), strict=True):
        for _ in range(50):
            subflow.tcp.sender.rtt.on_sample(rtt)
    peer.first.send(dss=peer.ack(), window=WINDOW)
    return peer, second


def fill(peer: MpPeer, second: Flow, *, ends: bool) -> set[int]:
    """Put the first octets on the slow flow, and all the window holds after them on the fast one.

    Returns the stream positions of what the slow flow carries.
    """
    script = peer.script
    before = len(second.sent)
    fast = peer.connection.subflows[0]
    fast.leaving = True
    script.write(peer.id, bytes(4000))
    fast.leaving = False
    held = {peer.dsn_of(one) for one in second.sent[before:] if one.length}
    assert held
    script.write(peer.id, bytes(WINDOW - 4000 - ROOM if ends else 3 * WINDOW))
    for _ in range(3):
        script.wait(FAST)
        peer.first.send(dss=peer.ack(), window=WINDOW)
    return held


def repeated(peer: MpPeer, held: set[int]) -> bool:
    return bool(held & {peer.dsn_of(one) for one in peer.first.sent if one.length})


@pytest.mark.parametrize("ends", [False, True], ids=["data waits", "nothing waits"])
def test_a_full_window_moves_its_head_to_the_fast_subflow_if_data_waits(ends: bool) -> None:
    peer, second = two_paths()
    held = fill(peer, second, ends=ends)
    assert repeated(peer, held) == (not ends)
    assert bool(peer.script.host.counters.mptcp_retrans) == (not ends)


@pytest.mark.parametrize("scheduler", ["default", "load-split", "cheap-first", "active-standby"])
@pytest.mark.parametrize("closed", [True, False], ids=["ended", "open"])
def test_the_end_of_a_stream_moves_to_the_fast_subflow_unless_that_is_to_be_spared(
    closed: bool, scheduler: str
) -> None:
    peer, second = two_paths()
    script = peer.script
    held = fill(peer, second, ends=True)
    settings = replace(UNCHECKED, scheduler=scheduler)
    script.host.change(script.now, peer.id, settings)
    slow = peer.connection.subflows[1].tcp.sender.controller
    window = slow.cwnd
    if closed:
        script.close(peer.id)
    script.wait(FAST)
    peer.first.send(dss=peer.ack(), window=WINDOW)
    spared = scheduler in {"cheap-first", "active-standby"}
    assert repeated(peer, held) == (closed and not spared)
    assert slow.cwnd == window


@pytest.mark.parametrize("queues", [True, False], ids=["its own queue", "the length of the path"])
def test_a_slow_subflow_is_penalized_for(queues: bool) -> None:
    peer, second = two_paths()
    slow = peer.connection.subflows[1].tcp.sender
    if not queues:
        slow.rtt.min_rtt = SLOW * 2 // 3
    before = slow.controller.cwnd
    fill(peer, second, ends=False)
    assert (slow.controller.cwnd < before) == queues


def test_the_slow_subflow_is_penalized_once_in_a_round_trip() -> None:
    peer, second = two_paths()
    fill(peer, second, ends=False)
    slow = peer.connection.subflows[1].tcp.sender.controller
    window = slow.cwnd
    for _ in range(5):
        peer.script.wait(FAST)
        peer.first.send(dss=peer.ack(), window=WINDOW)
    assert slow.cwnd == window
