"""Sets of octets, kept as sorted disjoint ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

from plait.units import Octets

_NONE: Final[list[Octets]] = []
"""Shared by all empty sets, and never changed: an idle connection has several."""


class RangeSet:
    """Positions in a sequence space as disjoint ranges `[start, stop)`, never touching."""

    __slots__ = ("_starts", "_stops", "total")

    total: Octets
    """Octets in the set."""

    def __init__(self) -> None:
        self._starts = _NONE
        self._stops = _NONE
        self.total = 0

    def __bool__(self) -> bool:
        """Return whether the set holds any octet."""
        return self.total > 0

    def __iter__(self) -> Iterator[tuple[Octets, Octets]]:
        """Return the ranges in ascending order."""
        return iter(list(zip(self._starts, self._stops, strict=True)))

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self._starts)

    @property
    def first(self) -> tuple[Octets, Octets]:
        """The lowest range; IndexError when the set is empty."""
        return self._starts[0], self._stops[0]

    @property
    def last(self) -> tuple[Octets, Octets]:
        """The highest range; IndexError when the set is empty."""
        return self._starts[-1], self._stops[-1]

    def add(self, start: Octets, stop: Octets) -> Octets:
        """Add a range and return how many of its octets are new."""
        if stop <= start:
            return 0
        if self._starts is _NONE:
            self._starts, self._stops = [], []
        low = bisect_left(self._stops, start)
        high = bisect_right(self._starts, stop)
        if low == high:
            self._starts.insert(low, start)
            self._stops.insert(low, stop)
            self.total += stop - start
            return stop - start
        merged_start = min(start, self._starts[low])
        merged_stop = max(stop, self._stops[high - 1])
        held = sum(self._stops[low:high]) - sum(self._starts[low:high])
        self._starts[low:high] = [merged_start]
        self._stops[low:high] = [merged_stop]
        new = merged_stop - merged_start - held
        self.total += new
        return new

    def remove(self, start: Octets, stop: Octets) -> Octets:
        """Remove a range and return how many of its octets were held."""
        if stop <= start:
            return 0
        low = bisect_right(self._stops, start)
        high = bisect_left(self._starts, stop)
        if low >= high:
            return 0
        held = sum(self._stops[low:high]) - sum(self._starts[low:high])
        before = (self._starts[low], start) if self._starts[low] < start else None
        after = (stop, self._stops[high - 1]) if self._stops[high - 1] > stop else None
        rest = [piece for piece in (before, after) if piece is not None]
        self._starts[low:high] = [piece[0] for piece in rest]
        self._stops[low:high] = [piece[1] for piece in rest]
        gone = held - sum(piece[1] - piece[0] for piece in rest)
        self.total -= gone
        return gone

    def discard_below(self, position: Octets) -> Octets:
        """Remove everything below `position` and return how many octets went."""
        if not self._starts or self._starts[0] >= position:
            return 0
        return self.remove(self._starts[0], position)

    def covers(self, start: Octets, stop: Octets) -> bool:
        """Return whether every octet of the range is in the set."""
        at = bisect_right(self._starts, start) - 1
        return start >= stop or (at >= 0 and self._stops[at] >= stop)

    def range_at(self, position: Octets) -> tuple[Octets, Octets] | None:
        """Return the range that holds `position`."""
        at = bisect_right(self._starts, position) - 1
        if at >= 0 and position < self._stops[at]:
            return self._starts[at], self._stops[at]
        return None

    def holes(self, start: Octets, stop: Octets) -> list[tuple[Octets, Octets]]:
        """Return the parts of `[start, stop)` that are not in the set, ascending."""
        gaps: list[tuple[Octets, Octets]] = []
        at = bisect_right(self._stops, start)
        while start < stop and at < len(self._starts) and self._starts[at] < stop:
            if start < self._starts[at]:
                gaps.append((start, self._starts[at]))
            start = self._stops[at]
            at += 1
        if start < stop:
            gaps.append((start, stop))
        return gaps

    def total_above(self, position: Octets) -> Octets:
        """Return how many octets of the set are at or above `position`."""
        at = bisect_right(self._stops, position)
        held = sum(self._stops[at:]) - sum(self._starts[at:])
        if at < len(self._starts) and self._starts[at] < position:
            held -= position - self._starts[at]
        return held

    def clear(self) -> None:
        """Empty the set."""
        self._starts = self._stops = _NONE
        self.total = 0
