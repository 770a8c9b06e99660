"""BLEST: blocking estimation (Ferlin, Alay, Mehani and Boreli, IFIP Networking 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.scheduling.base import Grant, Scheduler, SubflowView, by_delay, grant_on, usable
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Blest(Scheduler):
    """Spares a slow subflow what would block the window before the fast one has filled it.

    While a burst travels on the slow subflow, the fast one could send some windows.  If the peer's
    window has no room for both, the fast subflow is waited for.
    """

    name: ClassVar[str] = "blest"
    compares: ClassVar[bool] = True

    def __init__(self, scale: float = 1.0) -> None:
        """Multiply what the fast subflow is expected to send meanwhile by `scale`."""
        self._scale = scale

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant one burst to the fastest subflow with room, unless waiting is better."""
        ordered = sorted(usable(subflows), key=by_delay)
        fastest = ordered[0]
        for view in ordered:
            if not view.room:
                continue
            grant = grant_on(view, start, stop)
            if view is fastest or not fastest.srtt:
                return [grant]
            rounds = float(view.srtt) / float(fastest.srtt)
            windows = float(fastest.cwnd) + (rounds - 1.0) / 2.0 * float(fastest.mss)
            blocked = float(edge - grant.stop) < windows * rounds * self._scale
            return [] if blocked and fastest.in_flight else [grant]
        return []
