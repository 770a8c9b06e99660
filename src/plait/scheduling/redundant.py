"""Redundancy: the same data on several subflows at once, for the least delay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.errors import UsageError
from plait.scheduling.base import Grant, Scheduler, SubflowView, grant_on
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Redundant(Scheduler):
    """Sends every range on the fastest subflow with room, and copies on others with room.

    A loss or a delay on one path then costs nothing.  Copies never hold up new data: a subflow
    whose window is full misses some.
    """

    name: ClassVar[str] = "redundant"

    def __init__(self, copies: int = 0) -> None:
        """Send each range on so many subflows, 0 for all of them.  Raises UsageError."""
        if copies < 0:
            raise UsageError(f"copies: must not be negative: {copies}")
        self._copies = copies

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant the same range to several subflows, the one of least RTT first."""
        answering = [view for view in subflows if not view.stale] or list(subflows)
        ready = sorted([view for view in answering if view.room], key=_delay)
        chosen = ready[: self._copies] if self._copies else ready
        if not chosen:
            return []
        first = grant_on(chosen[0], start, stop)
        return [first, *(grant_on(view, start, first.stop) for view in chosen[1:])]


def _delay(view: SubflowView) -> tuple[bool, Nanos]:
    return view.backup, view.srtt
