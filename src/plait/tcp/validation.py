"""Congestion window validation (RFC 7661): a window that is not used says little of the path.

The window is valid while at least half of it is acknowledged in some recent round trip.  Without
that it is kept, but does not grow; a loss then starts from what was used; and after some minutes it
shrinks.  Idleness for more than an RTO still restarts from the initial window (RFC 5681, 4.1).
"""

from __future__ import annotations

from typing import Final

from plait.congestion.base import CongestionController, initial_window
from plait.units import SECOND, Nanos, Octets

NVP: Final = 300 * SECOND
"""Time that an unused window is kept (RFC 7661, 4.3: Non-Validated Period)."""

MEASUREMENT: Final = SECOND
"""Least time that the largest round trip is remembered (RFC 7661, 4.2)."""

UNDEFINED: Final = -1


class Validation:
    """Measures what each round trip acknowledged; names as in RFC 7661, 4.2."""

    def __init__(self) -> None:
        self.pipe_ack: Octets = UNDEFINED
        """Most that was acknowledged in a recent round trip."""

        self._round_start: Octets = 1
        self._measured_at: Nanos = 0
        self._current: Octets = UNDEFINED
        self._previous: Octets = UNDEFINED
        self._since: Nanos = -1
        """When the window became invalid, or last shrank for that; -1 while it is valid."""

    def validated(self, cwnd: Octets) -> bool:
        """Return whether the window is used enough to be believed (RFC 7661, 4.1)."""
        return self.pipe_ack == UNDEFINED or 2 * self.pipe_ack > cwnd

    def on_round(
        self, now: Nanos, ack: Octets, srtt: Nanos, controller: CongestionController
    ) -> None:
        """A round trip is over that acknowledged all below `ack`; age the window if it is due."""
        sample = ack - self._round_start
        self._round_start = ack
        if now - self._measured_at >= max(3 * srtt, MEASUREMENT) // 2:
            self._measured_at = now
            self._previous = self._current
            self._current = sample
        else:
            self._current = max(self._current, sample)
        self.pipe_ack = max(self._current, self._previous)
        if self.validated(controller.cwnd):
            self._since = -1
        elif self._since < 0:
            self._since = now
        elif now - self._since >= NVP:
            self._since = now
            controller.ssthresh = max(controller.ssthresh, 3 * controller.cwnd // 4)
            controller.cwnd = max(controller.cwnd // 2, initial_window(controller.mss))

    def on_loss(self, in_flight: Octets, controller: CongestionController) -> None:
        """A loss is to reduce the window: let it start from what was used (RFC 7661, 4.4.1)."""
        if not self.validated(controller.cwnd):
            used = max(self.pipe_ack, in_flight)
            controller.cwnd = max(min(controller.cwnd, used), 2 * controller.mss)
        self.pipe_ack = self._current = self._previous = UNDEFINED
        self._since = -1
