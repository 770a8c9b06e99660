"""CUBIC congestion control (RFC 9438)."""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from plait.congestion.base import INFINITE, AckSample, CongestionController, slow_start
from plait.congestion.hystart import CSS_GROWTH_DIVISOR, HyStart
from plait.units import SECOND, Nanos, Octets

C: Final = 0.4
"""Aggressiveness, segments per cubic second (RFC 9438, 5.1)."""

BETA: Final = 0.7
"""Multiplicative decrease (RFC 9438, 4.6)."""

BETA_ECN: Final = 0.85
"""The same for a congestion mark (RFC 8511, 4.1)."""

ALPHA: Final = 3.0 * (1.0 - BETA) / (1.0 + BETA)
"""Additive increase of the Reno-friendly estimate (RFC 9438, 4.3)."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Cubic(CongestionController):
    """Grows along a cubic curve around the window of the last loss."""

    name: ClassVar[str] = "cubic"

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self.w_max = 0.0
        """Window before the last reduction, in segments."""

        self._hystart = HyStart()
        self._epoch: Nanos = -1
        self._last: Nanos = 0
        """When the last ACK came."""

        self._k = 0.0
        self._w_est = 0.0
        self._prior_cwnd = 0.0
        self._credit = 0.0
        self._curve_before = (0.0, -1, 0.0, 0.0, 0.0)

    def on_ack(self, sample: AckSample) -> None:
        """Grow the window (RFC 9438, 4.2 to 4.5), unless it was not used."""
        silence = sample.now - self._last
        self._last = sample.now
        if sample.app_limited:
            if self._epoch >= 0:
                self._epoch += silence  # such time does not count (RFC 9438, 5.8)
            return
        acked = sample.acked
        if self.cwnd < self.ssthresh:
            acked = self._slow_start(sample)
            if acked == 0:
                return
        if self._epoch < 0:
            self._start_epoch(sample.now)
        segments = float(acked) / float(self.mss)
        cwnd = float(self.cwnd) / float(self.mss)
        elapsed = float(sample.now - self._epoch + sample.srtt) / float(SECOND)
        target = min(max(C * (elapsed - self._k) ** 3 + self.w_max, cwnd), 1.5 * cwnd)
        alpha = 1.0 if self._w_est >= self._prior_cwnd else ALPHA
        self._w_est += alpha * segments / cwnd
        self._credit += max(target - cwnd, 0.0) / cwnd * segments
        if self._w_est > cwnd + self._credit:
            self._credit = self._w_est - cwnd
        grown = int(self._credit * float(self.mss))
        self.cwnd += grown
        self._credit -= float(grown) / float(self.mss)

    def _slow_start(self, sample: AckSample) -> Octets:
        """Grow exponentially until a loss, or until HyStart++ sees a queue build up."""
        if self.ssthresh == INFINITE:
            if sample.new_round and self._hystart.on_round():
                self.ssthresh = self.cwnd
                return sample.acked
            if sample.rtt:
                self._hystart.on_rtt(sample.rtt)
            if self._hystart.css:
                self.cwnd += sample.acked // CSS_GROWTH_DIVISOR
                return 0
        return slow_start(self, sample)

    def _start_epoch(self, now: Nanos) -> None:
        cwnd = float(self.cwnd) / float(self.mss)
        self._epoch = now
        self.w_max = max(self.w_max, cwnd)
        self._k = ((self.w_max - cwnd) / C) ** (1.0 / 3.0)
        self._w_est = cwnd

    def checkpoint(self) -> None:
        """Remember the curve, too."""
        super().checkpoint()
        self._curve_before = (self.w_max, self._epoch, self._k, self._w_est, self._prior_cwnd)

    def on_spurious_loss(self, now: Nanos) -> None:
        """Return to the old curve, at the old window (RFC 9438, 4.9.2)."""
        super().on_spurious_loss(now)
        self.w_max, self._epoch, self._k, self._w_est, self._prior_cwnd = self._curve_before

    def on_idle(self, now: Nanos) -> None:
        """Restart cautiously, on a curve that begins there."""
        super().on_idle(now)
        self._epoch = -1
        self._credit = 0.0

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Reduce by beta (RFC 9438, 4.6)."""
        self._reduce(BETA)

    def on_congestion_mark(self, now: Nanos, in_flight: Octets) -> None:
        """Reduce by less: who marks has a short queue (RFC 8511, 3)."""
        self._reduce(BETA_ECN)

    def _reduce(self, beta: float) -> None:
        """Reduce, with fast convergence (RFC 9438, 4.7)."""
        cwnd = float(self.cwnd) / float(self.mss)
        self._prior_cwnd = cwnd
        self.w_max = cwnd * (1.0 + BETA) / 2.0 if cwnd < self.w_max else cwnd
        self._epoch = -1
        self._credit = 0.0
        self.ssthresh = max(int(beta * float(self.cwnd)), 2 * self.mss)
        self.cwnd = self.ssthresh
