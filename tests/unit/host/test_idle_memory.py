"""What an idle connection takes; octets do not depend on the machine as seconds do."""

from __future__ import annotations

import gc
from enum import Enum

import pytest
from connections import make_pair, memory_of, open_many

from plait.host.settings import Settings

PER_CONNECTION = 4096
PER_SUBFLOW = 6144


@pytest.mark.parametrize("subflows", [1, 2, 4])
def test_idle_connections_are_small(subflows: int) -> None:
    idle, _ = memory_of(Settings(), 100, subflows)
    assert idle <= PER_CONNECTION + subflows * PER_SUBFLOW


def test_remains_of_a_connection_are_a_fraction_of_it() -> None:
    idle, waiting = memory_of(Settings(), 100, 1)
    assert waiting < idle / 4


def test_no_part_of_a_connection_has_a_dictionary_of_attributes() -> None:
    pair = make_pair(Settings(), subflows=2)
    open_many(pair, 1)
    (entry,) = pair.far._connections.by_id.values()
    assert len(entry.connection.subflows) == 2
    seen: dict[int, object] = {}
    waiting: list[object] = [*entry.connection.subflows]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and type(one).__module__.startswith(("plait.tcp", "plait.mptcp")):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
    assert len(seen) > 20  # the walk went everywhere
    parts = [one for one in seen.values() if not isinstance(one, Enum)]
    assert [type(one) for one in parts if hasattr(one, "__dict__")] == []
