"""ECF: earliest completion first (Lim, Nahum, Towsley and Gibbens, CoNEXT 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.scheduling.base import Grant, Scheduler, SubflowView, by_delay, grant_on, usable
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Ecf(Scheduler):
    """Leaves what is left to the fast subflow if it would be done before the slow one.

    Both are compared for the data that waits now: the fast one has to empty its window first, the
    slow one can begin at once.  Hysteresis keeps the choice from wavering.
    """

    name: ClassVar[str] = "ecf"
    compares: ClassVar[bool] = True

    def __init__(self, hysteresis: float = 0.25) -> None:
        """Once waiting, wait for so much longer than the slow subflow would take."""
        self._hysteresis = hysteresis
        self._waiting = False

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant one burst to the subflow that would complete earliest, or wait for it."""
        ordered = sorted(usable(subflows), key=by_delay)
        fast = ordered[0]
        ready = [view for view in ordered if view.room]
        if not ready:
            return []
        chosen = ready[0]
        if chosen is fast or not fast.srtt or not fast.in_flight:
            self._waiting = False
            return [grant_on(chosen, start, stop)]
        self._waiting = self._is_worth_waiting(fast, chosen, stop - start)
        return [] if self._waiting else [grant_on(chosen, start, stop)]

    def _is_worth_waiting(self, fast: SubflowView, slow: SubflowView, left: Octets) -> bool:
        margin = float(max(fast.rttvar, slow.rttvar))
        fast_done = (1.0 + float(left) / float(fast.cwnd)) * float(fast.srtt)
        factor = 1.0 + (self._hysteresis if self._waiting else 0.0)
        if fast_done >= factor * (float(slow.srtt) + margin):
            return False
        slow_done = max(float(left) / float(slow.cwnd), 1.0) * float(slow.srtt)
        return slow_done >= 2.0 * float(fast.srtt) + margin
