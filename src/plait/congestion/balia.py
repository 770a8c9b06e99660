"""The Balanced Linked Adaptation (draft-walid-mptcp-congestion-control-04)."""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from plait.congestion.coupling import Coupled
from plait.units import Nanos, Octets

MOST: Final = 1.5
"""Half windows lost at a loss, at most."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Balia(Coupled):
    """Strikes a balance between friendliness to TCP and quick use of what became free."""

    name: ClassVar[str] = "balia"

    def growth(self, acked: Octets) -> float:
        """Return the increase of the draft's section 3.1."""
        alpha, rates = self._alpha()
        shared = self.rate() / float(self.srtt) / rates**2
        return float(acked * self.mss) * shared * (1.0 + alpha) / 2.0 * (4.0 + alpha) / 5.0

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Lose half of what is in flight, up to three quarters on a path that is not the best."""
        alpha = self._alpha()[0] if self.srtt else 1.0
        self._reduce(in_flight - int(float(in_flight) / 2.0 * min(alpha, MOST)))

    def floor(self) -> Octets:
        """Return one segment where there are other paths to be used."""
        return self.mss if len(self.members()) > 1 else 2 * self.mss

    def _alpha(self) -> tuple[float, float]:
        """Return the best rate by ours, and the sum of all."""
        rates = [one.rate() for one in self.members()]
        return max(rates) / self.rate(), sum(rates)
