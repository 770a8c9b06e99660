"""What coupled algorithms share: the controllers of one connection's subflows know each other."""

from __future__ import annotations

from collections.abc import Iterable

from mypy_extensions import mypyc_attr

from plait.congestion.base import AckSample, CongestionController, slow_start
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Coupled(CongestionController):
    """Grows with regard to the other subflows of its connection; at a loss it is Reno.

    An algorithm says how much an acknowledgment is worth in congestion avoidance.  Slow start,
    recovery and what goes unused are those of RFC 5681 (RFC 6356, 3).
    """

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self.group: list[Coupled] = [self]
        """All controllers of this algorithm in the connection, shared by them."""

        self.srtt: Nanos = 0
        """Smoothed round-trip time; 0 before the first sample."""

        self._recovering = False
        self._used: Octets = 0
        """What is in flight where that is less than the window; 0 where the window is used."""

        self._credit = 0.0
        """Octets by which the window is to change, but for whole ones."""

    def couple(self, others: Iterable[CongestionController]) -> None:
        """Join those of the same kind."""
        for other in others:
            if type(other) is type(self) and isinstance(other, Coupled):
                self.group = other.group
                self.group.append(self)
                return

    def leave(self) -> None:
        """The subflow ended: the others go on without it."""
        self.group = [one for one in self.group if one is not self]
        for other in self.group:
            other.group = self.group
        self.group = [self]

    def members(self) -> list[Coupled]:
        """Return those whose round-trip time is known, this one among them."""
        return [one for one in self.group if one.srtt]

    def window(self) -> Octets:
        """Return the window that counts: what recovery ends with, or what is used of it."""
        window = self.ssthresh if self._recovering else self.cwnd
        return min(self._used, window) if self._used else window

    def rate(self) -> float:
        """Return the window by the round-trip time, in octets per nanosecond."""
        return float(self.window()) / float(self.srtt)

    def on_ack(self, sample: AckSample) -> None:
        """Grow the window, unless it was not used."""
        self._recovering = False
        self.srtt = sample.srtt
        self._used = max(sample.in_flight, self.mss) if sample.app_limited else 0
        if sample.app_limited:
            return
        acked = sample.acked
        if self.cwnd < self.ssthresh:
            acked = slow_start(self, sample)
        if acked and self.srtt:
            self._change(min(self.growth(acked), float(acked)))  # as slow start at most

    def growth(self, acked: Octets) -> float:
        """Return the octets by which the window is to grow for so many acknowledged; may be < 0."""
        raise NotImplementedError

    def _change(self, growth: float) -> None:
        """Change the window by whole octets, and keep what is left for the next time."""
        self._credit += growth
        whole = int(self._credit)
        self._credit -= float(whole)
        self.cwnd = max(self.cwnd + whole, self.mss)

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Halve what is in flight (RFC 5681, equation 4)."""
        self._reduce(in_flight // 2)

    def on_congestion_mark(self, now: Nanos, in_flight: Octets) -> None:
        """Reduce by less: who marks has a short queue (RFC 8511, 3)."""
        self._reduce(in_flight * 4 // 5)

    def floor(self) -> Octets:
        """Return the least window after a loss."""
        return 2 * self.mss

    def _reduce(self, window: Octets) -> None:
        self.ssthresh = max(window, self.floor())
        self.cwnd = self.ssthresh
        self._recovering = True
        self._credit = 0.0
