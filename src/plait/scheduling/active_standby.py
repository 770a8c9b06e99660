"""Active-standby: one subflow carries all, the others wait for it to fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.scheduling.base import Grant, Scheduler, SubflowView, grant_on, usable
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class ActiveStandby(Scheduler):
    """Uses the oldest subflow that answers and is no backup, and no other beside it."""

    name: ClassVar[str] = "active-standby"
    spares: ClassVar[bool] = True

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant one burst to the active subflow if it has room."""
        active = min(usable(subflows), key=self.rank)
        return [grant_on(active, start, stop)] if active.room else []

    def rank(self, view: SubflowView) -> int:
        """Return the place of a subflow: the least is active."""
        return view.index
