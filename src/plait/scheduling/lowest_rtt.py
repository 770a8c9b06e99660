"""Lowest round-trip time first: what Linux calls its default scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.scheduling.base import Grant, Scheduler, SubflowView, grant_on, usable
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class LowestRtt(Scheduler):
    """Fills the fastest subflow first and overflows to the next."""

    name: ClassVar[str] = "default"
    compares: ClassVar[bool] = True

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant one burst to the usable subflow of least RTT that has room."""
        best: SubflowView | None = None
        for view in usable(subflows):
            if view.room > 0 and (best is None or view.srtt < best.srtt):
                best = view
        return [] if best is None else [grant_on(best, start, stop)]
