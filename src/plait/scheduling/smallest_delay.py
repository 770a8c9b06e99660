"""Smallest delay: the fastest subflow carries all, whichever that is at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from plait.scheduling.base import Grant, Scheduler, SubflowView, grant_on, usable
from plait.units import Nanos, Octets


class SmallestDelay(Scheduler):
    """Uses the subflow of least RTT alone: it does not overflow to slower ones when it is full."""

    name: ClassVar[str] = "smallest-delay"

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant one burst to the fastest subflow if it has room."""
        fastest = min(usable(subflows), key=_delay)
        return [grant_on(fastest, start, stop)] if fastest.room else []


def _delay(view: SubflowView) -> Nanos:
    return view.srtt
