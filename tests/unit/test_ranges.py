"""RangeSet against a set of integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.ranges import RangeSet

LIMIT = 60

positions = st.integers(0, LIMIT)
steps = st.lists(st.tuples(st.sampled_from(["add", "remove", "below"]), positions, positions))


def built(changes: list[tuple[str, int, int]]) -> tuple[RangeSet, set[int]]:
    """Apply changes to both; each change must return what the model counts."""
    ranges = RangeSet()
    model: set[int] = set()
    for kind, start, stop in changes:
        octets = set(range(start, stop))
        if kind == "add":
            assert ranges.add(start, stop) == len(octets - model)
            model |= octets
        elif kind == "remove":
            assert ranges.remove(start, stop) == len(octets & model)
            model -= octets
        else:
            assert ranges.discard_below(start) == sum(1 for octet in model if octet < start)
            model = {octet for octet in model if octet >= start}
    return ranges, model


@given(steps)
def test_holds_what_a_set_holds_in_sorted_ranges_that_never_touch(
    changes: list[tuple[str, int, int]],
) -> None:
    ranges, model = built(changes)
    pieces = list(ranges)
    assert {octet for start, stop in pieces for octet in range(start, stop)} == model
    assert ranges.total == len(model)
    assert bool(ranges) == bool(model)
    assert len(ranges) == len(pieces)
    edges = [edge for piece in pieces for edge in piece]
    assert edges == sorted(set(edges))


@given(steps, positions, positions)
def test_answers_as_a_set_does(changes: list[tuple[str, int, int]], start: int, stop: int) -> None:
    ranges, model = built(changes)
    wanted = set(range(start, stop))
    assert ranges.covers(start, stop) == (wanted <= model)
    assert ranges.total_above(start) == sum(1 for octet in model if octet >= start)
    holes = ranges.holes(start, stop)
    assert {octet for low, high in holes for octet in range(low, high)} == wanted - model
    assert holes == sorted(holes)
    assert all(low < high for low, high in holes)
    found = ranges.range_at(start)
    assert (found is not None) == (start in model)
    if found is not None:
        assert set(range(*found)) <= model
        assert found[0] - 1 not in model
        assert found[1] not in model


@given(steps)
def test_first_and_last_are_the_ends(changes: list[tuple[str, int, int]]) -> None:
    ranges, model = built(changes)
    if model:
        assert ranges.first[0] == min(model)
        assert ranges.last[1] == max(model) + 1
    else:
        with pytest.raises(IndexError):
            _ = ranges.first
        with pytest.raises(IndexError):
            _ = ranges.last


def test_clear_empties() -> None:
    ranges = RangeSet()
    ranges.add(3, 9)
    ranges.clear()
    assert not ranges
    assert list(ranges) == []
