"""Equally weighted TCP: each of n subflows takes an n-th of what a TCP would (Honda et al., 2009).

For research: it is fair at a shared bottleneck and moves nothing off congested paths.
"""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.congestion.coupling import Coupled
from plait.units import Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Ewtcp(Coupled):
    """Grows by 1/n^2 of a segment a round trip, as the window follows the root of the increase."""

    name: ClassVar[str] = "ewtcp"

    def growth(self, acked: Octets) -> float:
        """Return the share of Reno's increase."""
        weight = 1.0 / float(len(self.members())) ** 2
        return weight * float(acked * self.mss) / float(self.cwnd)
