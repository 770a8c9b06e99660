"""Intents in one word."""

from __future__ import annotations

import pytest
from support.world import World

from plait.errors import UnknownNameError
from plait.host.events import SubflowUp
from plait.host.intents import INTENTS, intent_settings
from plait.host.settings import LIVE, Settings
from plait.tcp.settings import changed_fields


@pytest.mark.parametrize("name", INTENTS)
def test_an_intent_is_nothing_but_policies_that_can_be_changed_at_any_time(name: str) -> None:
    base = Settings(receive_buffer=1 << 18, path_manager="default")
    changed = changed_fields(base, intent_settings(name, base))
    assert {"path_manager", "scheduler", "congestion"} & changed.keys()
    assert changed.keys() <= LIVE


@pytest.mark.parametrize("name", INTENTS)
def test_every_intent_carries_a_stream_over_two_paths(name: str) -> None:
    content = bytes(range(256)) * 1000
    world = World(intent_settings(name))
    world.transfer(content, back=content)
    assert len(world.initiator.heard(SubflowUp)) == 2


@pytest.mark.rfc("6897", "A", "M6897-A-01")
def test_intents_differ() -> None:
    assert len({intent_settings(name) for name in INTENTS}) == len(INTENTS)


def test_the_peer_spares_the_path_that_stands_by() -> None:
    world = World(intent_settings("handover"))
    world.start()
    assert [one.backup for one in world.listener.connection.subflows] == [False, True]


def test_an_unknown_intent_is_the_callers_fault() -> None:
    with pytest.raises(UnknownNameError, match="choose from aggregate, "):
        intent_settings("fast")
