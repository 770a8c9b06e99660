"""Buffers that grow with the path, within the limits of connection and host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.world import World

from plait.host.settings import Settings
from plait.mptcp.tuning import FIRST, LEAST, Memory
from plait.units import MILLISECOND, SECOND


@given(
    limit=st.integers(0, 10_000),
    wishes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 100)), max_size=20),
)
def test_grants_stay_within_the_limit_but_for_the_least(
    limit: int, wishes: list[tuple[int, int]]
) -> None:
    memory = Memory(limit)
    grants = [memory.take(wanted, least) for wanted, least in wishes]
    for granted, (wanted, least) in zip(grants, wishes, strict=True):
        assert min(least, wanted) <= granted <= wanted
    assert memory.granted <= limit + sum(least for _, least in wishes)
    for granted in grants:
        memory.give_back(granted)
    assert memory.granted == 0


def stream(world: World, octets: int) -> None:
    """Have the initiator send, and the listener read, without an end."""
    world.start(subflows=1)
    world.initiator.to_send = bytes(octets)
    world.run(60 * SECOND)
    assert len(world.listener.received) == octets


def test_both_buffers_grow_with_the_stream() -> None:
    world = World(Settings())
    world.start()
    assert world.initiator.connection.tuning.send == FIRST
    assert world.listener.connection.tuning.receive == FIRST
    world.initiator.to_send = bytes(20_000_000)
    world.run(60 * SECOND)
    assert world.initiator.connection.tuning.send > 4 * FIRST
    assert world.listener.connection.tuning.receive > 4 * FIRST
    assert world.initiator.connection.tuning.receive == FIRST
    assert world.listener.connection.tuning.send == FIRST


@pytest.mark.parametrize("most", [FIRST // 2, FIRST, 3 * FIRST])
def test_never_beyond_the_settings(most: int) -> None:
    world = World(Settings(receive_buffer=most, send_buffer=most, path_manager="default"))
    stream(world, 20_000_000)
    assert world.initiator.connection.tuning.send <= most
    assert world.listener.connection.tuning.receive == most


def test_a_stream_that_trickles_grows_nothing() -> None:
    world = World(Settings())
    world.start()
    for _ in range(50):
        world.initiator.to_send = bytes(1000)
        world.run(SECOND // 10)
    assert world.initiator.connection.tuning.send == FIRST
    assert world.listener.connection.tuning.receive == FIRST


def test_nothing_is_tuned_if_the_operator_says_so() -> None:
    settings = Settings(autotuning=False, receive_buffer=300_000, send_buffer=200_000)
    world = World(settings)
    world.start()
    assert world.listener.connection.tuning.receive == 300_000
    assert world.listener.connection.tuning.send == 200_000


@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-07")
def test_the_window_never_waits_for_the_buffer_to_grow() -> None:
    """A tuned transfer takes hardly longer than one with full buffers from the start."""
    times = []
    for autotuning in (True, False):
        world = World(Settings(autotuning=autotuning, path_manager="default"))
        world.start(subflows=1)
        start = world.now
        world.initiator.to_send = bytes(8_000_000)
        while len(world.listener.received) < 8_000_000:
            world.run(5 * MILLISECOND)
        times.append(world.now - start)
    assert times[0] <= 1.1 * times[1]


def test_under_pressure_buffers_stay_and_new_connections_get_the_least() -> None:
    settings = Settings(memory=2 * FIRST + 1000, path_manager="default")
    world = World(settings)
    world.start(subflows=1)
    first = world.listener.connection
    world.connect()
    world.run(SECOND)
    second = world.listener.connection
    assert second is not first
    assert (second.tuning.receive, second.tuning.send) == (LEAST, LEAST)
    world.initiator.to_send = bytes(500_000)
    world.run(60 * SECOND)
    assert len(world.listener.received) == 500_000
    assert second.tuning.receive == LEAST


def test_memory_is_given_back_at_the_end() -> None:
    world = World(Settings())
    world.transfer(bytes(2_000_000), back=bytes(10))
    assert [end.host._memory.granted for end in world.ends] == [0, 0]
