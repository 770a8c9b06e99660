"""Congestion window validation (RFC 7661): a window that is not used says little of the path.

The window is valid while at least half of it is acknowledged in some recent round trip.  Without
that it is kept, but does not grow; a loss then starts from what was used; and after some minutes it
shrinks.  Idleness for more than an RTO still restarts from the initial window (RFC 5681, 4.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.congestion.base import CongestionController, initial_window
from plait.units import SECOND, Nanos, Octets

if TYPE_CHECKING:
    from plait.tcp.sender import Sender

NVP: Final = 300 * SECOND
"""Time that an unused window is kept (RFC 7661, 4.3: Non-Validated Period)."""

MEASUREMENT: Final = SECOND
"""Least time that the largest round trip is remembered (RFC 7661, 4.2)."""

UNDEFINED: Final = -1


class Validation:
    """Measures how much of the window each round trip used; names as in RFC 7661, 4.2."""

    __slots__ = (
        "_current",
        "_previous",
        "_round_end",
        "_round_start",
        "_since",
        "_turned_at",
        "peak",
        "pipe_ack",
    )

    def __init__(self) -> None:
        self.pipe_ack: Octets = UNDEFINED
        """Most that was acknowledged in a recent round trip."""

        self.peak: Octets = 0
        """Most that was in flight in this round trip."""

        self._round_start: Octets = 1
        self._round_end: Octets = 1
        self._turned_at: Nanos = 0
        self._current: Octets = UNDEFINED
        self._previous: Octets = UNDEFINED
        self._since: Nanos = -1
        """When the window became invalid, or last shrank for that; -1 while it is valid."""

    def on_ack(self, now: Nanos, in_flight: Octets, ack: Octets, sender: Sender) -> bool:
        """Follow round trips by ACKs, each with what was in flight; return whether one begins."""
        if ack <= self._round_end:
            self.peak = max(self.peak, in_flight)
            return False
        if not sender.controller.samples:
            self._on_round(now, ack - self._round_start, sender)
        self._round_start = ack
        self._round_end = sender.snd_nxt
        self.peak = in_flight
        return True

    def app_limited(self, controller: CongestionController) -> bool:
        """Return whether the window must not grow, because it went unused.

        In slow start half of it is to be used (RFC 7661, 4.1), later all but two segments.
        """
        cwnd = controller.cwnd
        if cwnd < controller.ssthresh:
            return 2 * self.peak < cwnd
        return self.peak + 2 * controller.mss < cwnd

    def validated(self, controller: CongestionController) -> bool:
        """Return whether the window is used enough to be believed (RFC 7661, 4.1).

        One no larger than the initial window needs no proof.
        """
        cwnd = controller.cwnd
        if self.pipe_ack == UNDEFINED or 2 * self.pipe_ack >= cwnd:
            return True
        return cwnd <= initial_window(controller.mss)

    def _on_round(self, now: Nanos, acked: Octets, sender: Sender) -> None:
        """Take what a round trip acknowledged; shrink a window unused for long (RFC 7661, 4.4.2).

        The largest is kept for at least the measurement period, in two halves of it.
        """
        if now - self._turned_at >= max(3 * sender.rtt.srtt, MEASUREMENT):
            self._turned_at = now
            self._previous = self._current
            self._current = acked
        else:
            self._current = max(self._current, acked)
        self.pipe_ack = max(self._current, self._previous)
        controller = sender.controller
        if self.validated(controller):
            self._since = -1
        elif self._since < 0:
            self._since = now
        elif now - self._since >= NVP:
            self._since = now
            controller.ssthresh = max(controller.ssthresh, 3 * controller.cwnd // 4)
            controller.cwnd = max(controller.cwnd // 2, initial_window(controller.mss))

    def before_reduction(self, in_flight: Octets, controller: CongestionController) -> None:
        """A loss is to reduce the window: let it start from what was used (RFC 7661, 4.4.1)."""
        if not self.validated(controller):
            used = max(self.pipe_ack, in_flight, initial_window(controller.mss))
            controller.cwnd = min(controller.cwnd, used)
        self.pipe_ack = self._current = self._previous = UNDEFINED
        self._since = -1
