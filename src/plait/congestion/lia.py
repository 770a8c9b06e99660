"""The Linked Increases Algorithm (RFC 6356)."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.congestion.coupling import Coupled
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Lia(Coupled):
    """Takes no more than one TCP would on the best of its paths, and moves off congested ones."""

    name: ClassVar[str] = "lia"

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self.alpha = 1.0
        """Aggressiveness of the connection (RFC 6356, equation 2)."""

        self._segments = 0
        """Whole segments of the window when alpha was computed last."""

    def growth(self, acked: Octets) -> float:
        """Return RFC 6356's equation 1; what is less than an octet counts as one."""
        segments = self.cwnd // self.mss
        if segments != self._segments:
            self._segments = segments
            self._settle()
        total = sum(one.window() for one in self.members())
        coupled = self.alpha * float(acked * self.mss) / float(total)
        return max(min(coupled, float(acked * self.mss) / float(self.cwnd)), 1.0)

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Halve, and take the others along: alpha changes (RFC 6356, 4.1)."""
        super().on_loss(now, in_flight)
        self._segments = 0

    def _settle(self) -> None:
        """Compute alpha for all, as one of the windows changed by a segment (RFC 6356, 4.1)."""
        members = self.members()
        alpha = aggressiveness(members)
        for one in members:
            if isinstance(one, Lia):
                one.alpha = alpha


def aggressiveness(members: list[Coupled]) -> float:
    """Return alpha for subflows that are coupled (RFC 6356, equation 2)."""
    total = sum(one.window() for one in members)
    rates = [one.rate() for one in members]
    best = max(rate / float(one.srtt) for rate, one in zip(rates, members, strict=True))
    return float(total) * best / sum(rates) ** 2
