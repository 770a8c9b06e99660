"""Round robin: every subflow in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.scheduling.base import Grant, Scheduler, SubflowView, by_index, grant_on, usable
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class RoundRobin(Scheduler):
    """Gives bursts to the subflows in turn, leaving out those without room.

    Like a load split it leaves the windows to decide as soon as all are full.  For research: a
    stream waits for its slowest part.
    """

    name: ClassVar[str] = "round-robin"

    def __init__(self) -> None:
        self._last = -1

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant one burst to the next usable subflow with room."""
        ready = sorted((view for view in usable(subflows) if view.room), key=by_index)
        if not ready:
            return []
        chosen = next((view for view in ready if view.index > self._last), ready[0])
        self._last = chosen.index
        return [grant_on(chosen, start, stop)]
