"""Fully coupled congestion control (Kelly and Voice, 2005; Wischik et al., NSDI 2011).

For research: it uses the least congested paths alone, all windows of a connection being one, and
so it flaps between paths that are alike and never finds out that one became better.
"""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.congestion.coupling import Coupled
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class FullyCoupled(Coupled):
    """Grows and shrinks each window as if it were the sum of all."""

    name: ClassVar[str] = "coupled"

    def growth(self, acked: Octets) -> float:
        """Return a segment for each round trip of the whole connection."""
        return float(acked * self.mss) / float(self._total())

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Take half of all windows from this one, down to a segment."""
        total = self._total()
        self._reduce(in_flight - total // 2)

    def floor(self) -> Octets:
        """Return one segment where there are other paths to be used."""
        return self.mss if len(self.members()) > 1 else 2 * self.mss

    def _total(self) -> Octets:
        return sum(one.window() for one in self.members()) or self.cwnd
