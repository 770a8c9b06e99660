"""Smallest delay: the fastest subflow carries all, whichever that is at the moment."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.scheduling.active_standby import ActiveStandby
from plait.scheduling.base import SubflowView


@mypyc_attr(allow_interpreted_subclasses=True)
class SmallestDelay(ActiveStandby):
    """Uses the subflow of least RTT alone: it does not overflow to slower ones when it is full."""

    name: ClassVar[str] = "smallest-delay"
    compares: ClassVar[bool] = True
    spares: ClassVar[bool] = False

    def rank(self, view: SubflowView) -> int:
        """Return the round-trip time of a subflow: the least is active."""
        return view.srtt
