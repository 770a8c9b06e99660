"""The Opportunistic Linked Increases Algorithm (draft-khalili-mptcp-congestion-control-05)."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.congestion.base import AckSample
from plait.congestion.coupling import Coupled
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Olia(Coupled):
    """Balances load as well as can be, and gives paths that got better a window again.

    A path is the better the more it carries between losses, for its round-trip time.  The best ones
    whose windows are not the largest grow at the cost of those with the largest.
    """

    name: ClassVar[str] = "olia"

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self.between: Octets = 0
        """Octets acknowledged between the last two losses."""

        self.since: Octets = 0
        """Octets acknowledged since the last loss."""

    def quality(self) -> float:
        """Return the larger of both counts by the square of the round-trip time."""
        return float(max(self.between, self.since)) / float(self.srtt) ** 2

    def on_ack(self, sample: AckSample) -> None:
        """Count what was acknowledged, in slow start and of unused windows too."""
        self.since += sample.acked
        super().on_ack(sample)

    def growth(self, acked: Octets) -> float:
        """Return the increase of the draft's section 3."""
        members = [one for one in self.members() if isinstance(one, Olia)]
        rates = sum(one.rate() for one in members)
        shared = self.rate() / float(self.srtt) / rates**2
        return float(acked * self.mss) * (shared + self._alpha(members) / float(self.cwnd))

    def _alpha(self, members: list[Olia]) -> float:
        """Return what moves windows from the largest to the best paths."""
        most = max(one.window() // one.mss for one in members)
        best = max(one.quality() for one in members)
        largest = [one for one in members if one.window() // one.mss == most]
        collected = [one for one in members if one.quality() == best and one not in largest]
        if not collected:
            return 0.0
        if self in collected:
            return 1.0 / float(len(members) * len(collected))
        return -1.0 / float(len(members) * len(largest)) if self in largest else 0.0

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Halve; what was counted since the last loss counts as between losses from now on."""
        super().on_loss(now, in_flight)
        if self.since:  # else this is the same loss once more
            self.between = self.since
            self.since = 0

    def floor(self) -> Octets:
        """Return one segment where there are other paths to be used."""
        return self.mss if len(self.members()) > 1 else 2 * self.mss
