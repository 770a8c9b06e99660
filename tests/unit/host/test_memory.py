"""What an idle connection and one in TIME-WAIT take: ten thousand are to take less than 100 MB."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from support.world import FAR, NEAR, PORT, World

from plait.host.host import Host
from plait.host.settings import Settings
from plait.units import MILLISECOND

COUNT = 100
IDLE = 9_000
WAITING = 2_000


def settle(world: World) -> None:
    """Exchange segments until neither host has any."""
    near, far = (end.host for end in world.ends)
    while True:
        world.now += MILLISECOND
        sent = near.transmit(world.now, 1000)
        far.receive(world.now, sent)
        answers = far.transmit(world.now, 1000)
        near.receive(world.now, answers)
        if not sent and not answers:
            return


def open_some(world: World, count: int) -> list[tuple[Host, int]]:
    """Open connections and return both ends of each, the near one first."""
    ends: list[tuple[Host, int]] = []
    near, far = (end.host for end in world.ends)
    for _ in range(count):
        ends.append((near, near.connect(world.now, FAR[0], PORT)))
        settle(world)
        near.take_events()
        ends.append((far, far.take_events()[0].connection_id))
    return ends


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("mptcp", [True, False], ids=["MPTCP", "TCP"])
def test_octets_of_a_connection(mptcp: bool) -> None:
    world = World(Settings(mptcp=mptcp), near=NEAR[:1])
    open_some(world, 5)
    tracemalloc.start()
    before = traced()
    ends = open_some(world, COUNT)
    idle = (traced() - before) / len(ends)
    for host, connection_id in ends:
        host.release(world.now, connection_id)
        settle(world)
        host.take_events()
    del ends
    waiting = (traced() - before) / COUNT
    tracemalloc.stop()
    assert 1000 < idle < IDLE
    assert waiting < WAITING
