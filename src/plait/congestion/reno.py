"""NewReno congestion control (RFC 5681)."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.congestion.base import AckSample, CongestionController, slow_start
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class Reno(CongestionController):
    """Adds a segment each round trip and halves the window at a loss."""

    name: ClassVar[str] = "reno"

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self._credit: Octets = 0

    def on_ack(self, sample: AckSample) -> None:
        """Grow the window (RFC 5681, 3.1), unless it was not used."""
        if sample.app_limited:
            return
        acked = sample.acked
        if self.cwnd < self.ssthresh:
            acked = slow_start(self, sample)
        self._credit += acked
        if self._credit >= self.cwnd:
            self._credit -= self.cwnd
            self.cwnd += self.mss

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Halve what is in flight (RFC 5681, equation 4)."""
        self._reduce(in_flight // 2)

    def on_congestion_mark(self, now: Nanos, in_flight: Octets) -> None:
        """Reduce by less: who marks has a short queue (RFC 8511, 3)."""
        self._reduce(in_flight * 4 // 5)

    def _reduce(self, window: Octets) -> None:
        self.ssthresh = max(window, 2 * self.mss)
        self.cwnd = self.ssthresh
        self._credit = 0
