"""Deadlines of many connections; the soonest is known at once, and may be early, never late."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

from plait.units import Nanos

SLACK: Final = 64
"""Entries, beyond one for each live one, that may wait for their expiry to be skipped."""


class Deadlines:
    """A heap with lazy deletion: entries that a connection has outlived are skipped on expiry."""

    def __init__(self) -> None:
        self._heap: list[tuple[Nanos, int]] = []
        self._armed: dict[int, Nanos] = {}

    def set(self, connection_id: int, at: Nanos) -> None:
        """Make sure that the connection is looked at by `at`; an earlier entry is kept."""
        armed = self._armed.get(connection_id)
        if armed is None or at < armed:
            self._armed[connection_id] = at
            heappush(self._heap, (at, connection_id))

    def forget(self, connection_id: int) -> None:
        """The connection is gone."""
        self._armed.pop(connection_id, None)
        heap = self._heap
        if len(heap) > 2 * len(self._armed) + SLACK:
            self._heap = [(at, known) for known, at in self._armed.items()]
            heapify(self._heap)
            return
        while heap and self._armed.get(heap[0][1]) != heap[0][0]:
            heappop(heap)

    def soonest(self) -> Nanos | None:
        """Return the earliest entry."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: Nanos) -> list[int]:
        """Return, and forget, the connections to be looked at."""
        due: list[int] = []
        while self._heap and self._heap[0][0] <= now:
            at, connection_id = heappop(self._heap)
            if self._armed.get(connection_id) == at:
                del self._armed[connection_id]
                due.append(connection_id)
        return due
