"""Priority: the cheap subflow first, the next one only for what it cannot carry in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.scheduling.base import Grant, Scheduler, SubflowView, by_index, grant_on, usable
from plait.units import MILLISECOND, Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Priority(Scheduler):
    """Fills the subflows in the order in which they were made.

    The next one is used if what waits would take those before it longer than `overflow`.
    """

    name: ClassVar[str] = "priority"

    def __init__(self, overflow: Nanos = 0) -> None:
        """Overflow to the next subflow at once, or only above a queueing delay."""
        self._overflow = overflow

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant one burst to the first subflow with room that is called for."""
        wait = 0.0
        rate = 0.0
        for view in sorted(usable(subflows), key=by_index):
            if view.room and wait >= float(self._overflow):
                return [grant_on(view, start, stop)]
            if view.room and not rate:
                return [grant_on(view, start, stop)]
            if not view.srtt:
                return []
            rate += float(view.cwnd) / float(view.srtt)
            wait = float(stop - start) / rate
        return []


@mypyc_attr(allow_interpreted_subclasses=True)
class CheapFirst(Priority):
    """Uses later subflows for what would wait too long: expensive paths carry no short bursts."""

    name: ClassVar[str] = "cheap-first"
    spares: ClassVar[bool] = True

    def __init__(self, overflow: Nanos = 500 * MILLISECOND) -> None:
        """Overflow to the next subflow above this queueing delay."""
        super().__init__(overflow)
