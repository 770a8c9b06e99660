"""Turns: each subflow sends its share before the next one does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from plait.errors import UsageError
from plait.scheduling.base import Grant, Scheduler, SubflowView, grant_on, usable
from plait.units import Nanos, Octets


class Turns(Scheduler):
    """Lets the subflows take turns of so many octets; one that is full is passed over."""

    name: ClassVar[str] = "turns"

    def __init__(self, octets: Octets = 65536) -> None:
        """Send `octets` in each turn.  Raises UsageError."""
        if octets <= 0:
            raise UsageError(f"octets: must be more than 0, not {octets}")
        self._turn = octets
        self._left = octets
        self._active = 0

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant what is left of the turn, or begin that of the next subflow with room."""
        ready = [view for view in usable(subflows) if view.room]
        if not ready:
            return []
        active = next((view for view in ready if view.index == self._active), None)
        if active is None or self._left <= 0:
            later = [view for view in ready if view.index > self._active]
            active = (later or ready)[0]
            self._active = active.index
            self._left = self._turn
        grant = grant_on(active, start, min(stop, start + self._left))
        self._left -= grant.stop - grant.start
        return [grant]
