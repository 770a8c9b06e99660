"""Any policies after any others, at any time: the stream is whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.world import World, pass_on

from plait.congestion import controllers
from plait.host.events import PolicyFailed
from plait.host.settings import Settings
from plait.pathing import path_managers
from plait.scheduling import schedulers
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.segment import Segment

CONTENT = bytes(range(251)) * 1200

CHANGES = st.tuples(
    st.integers(0, 60),
    st.one_of(
        *(
            st.tuples(st.just(field), st.sampled_from(names))
            for field, names in (
                ("scheduler", schedulers.names()),
                ("congestion", controllers.names()),
                ("path_manager", path_managers.names()),
            )
        )
    ),
)
"""Milliseconds to wait, and what to change then."""


def lose(world: World, seed: int) -> None:
    """Lose one segment with payload in forty, in either direction."""
    dice = Random(seed)

    def hook(now: Nanos, segment: Segment) -> Iterator[tuple[Nanos, Segment]]:
        if not segment.length or dice.random() > 1 / 40:
            yield from pass_on(now, segment)

    for end in world.ends:
        end.line.hook = hook


@pytest.mark.parametrize("lossy", [False, True])
@settings(max_examples=12)
@given(changes=st.lists(CHANGES, min_size=1, max_size=8), seed=st.integers(0, 1000))
def test_the_stream_arrives_whole(
    lossy: bool, changes: list[tuple[int, tuple[str, str]]], seed: int
) -> None:
    world = World(Settings(), whole=False)
    if lossy:
        lose(world, seed)
    for end in world.ends:
        end.to_send = CONTENT
    world.connect()
    world.run(50 * MILLISECOND)
    chosen = {id(end): Settings() for end in world.ends}
    for wait, (field, name) in changes:
        world.run(wait * MILLISECOND)
        for end in world.ends:
            if end.open and not end.connection.sender.fin_acked:
                chosen[id(end)] = replace(chosen[id(end)], **{field: name})  # type: ignore[arg-type]  # a name of its kind
                end.host.change(world.now, end.connection_id, chosen[id(end)])
    world.run(600 * SECOND)
    for end in world.ends:
        assert bytes(end.received) == CONTENT
        assert not end.heard(PolicyFailed)
        assert end.empty
