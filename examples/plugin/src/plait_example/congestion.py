"""Steady: a fixed window, for paths of which the operator knows what they carry."""

from __future__ import annotations

from typing import ClassVar

from plait.congestion.base import AckSample, CongestionController
from plait.errors import UsageError
from plait.units import Nanos, Octets


class Steady(CongestionController):
    """Keeps so many segments in flight: fair to nobody, so not for the Internet."""

    name: ClassVar[str] = "steady"

    def __init__(self, mss: Octets, segments: int = 20) -> None:
        """Have `segments` in flight at most.  Raises UsageError."""
        super().__init__(mss)
        if segments < 2:
            raise UsageError(f"segments: must be 2 or more, not {segments}")
        self._segments = segments
        self._restore()

    def on_mss(self, mss: Octets) -> None:
        """Count in segments of the new size."""
        self.mss = mss
        self._restore()

    def on_ack(self, sample: AckSample) -> None:
        """Return to the window, if a time-out took it."""
        self._restore()

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Keep the window: recovery alone repairs the loss."""
        self._restore()

    def _restore(self) -> None:
        self.cwnd = self.ssthresh = self._segments * self.mss
