"""LIA between those subflows alone that share a bottleneck.

On paths that share nothing each subflow may be a TCP of its own; RFC 6356 couples all, as it cannot
tell.  What is not known to be apart is coupled: at the start, and where delays hardly move.

An experiment: most paths that share nothing are taken for one bottleneck and stay coupled, and one
queue in thirty for two (docs/decisions/0012).
"""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.congestion.base import AckSample
from plait.congestion.bottleneck import Delays, shared
from plait.congestion.coupling import Coupled
from plait.congestion.lia import Lia, aggressiveness
from plait.units import Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Auto(Lia):
    """Compares the delays of its path with those of the others, once an interval."""

    name: ClassVar[str] = "auto"

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self.delays = Delays()
        self.apart: list[Coupled] = []
        """Those of the group whose bottleneck is another one."""

    def members(self) -> list[Coupled]:
        """Return those that share our bottleneck, or may."""
        return [one for one in super().members() if one not in self.apart]

    def on_ack(self, sample: AckSample) -> None:
        """Take the sample, and look again who is apart as an interval begins."""
        avoiding = self.cwnd >= self.ssthresh  # slow start has queues that no other path shares
        if avoiding and sample.rtt and self.delays.add(sample.now, sample.rtt):
            self.apart = [
                one
                for one in self.group
                if one is not self
                and isinstance(one, Auto)
                and shared(self.delays, one.delays) is False
            ]
            self._segments = 0
        super().on_ack(sample)

    def _settle(self) -> None:
        """Compute alpha for this subflow alone: others may have other companions."""
        self.alpha = aggressiveness(self.members())
