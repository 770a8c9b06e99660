"""Pacing: data leaves in bursts of about a millisecond, spread over the round trip.

TCP holds data back itself, since few drivers could: a burst leaves, and a timer asks again when
the next is due.  Timers of event loops are late; what that costs is made up for, within bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.congestion.base import MAX_SEGMENT, CongestionController, send_quantum
from plait.tcp.receiver import NEVER
from plait.units import MILLISECOND, SECOND, Nanos, Octets

if TYPE_CHECKING:
    from plait.tcp.sender import Sender

LATENESS: Final = 2 * MILLISECOND
"""Most that a burst may be late without lowering the rate."""

SLOW_START_GAIN: Final = 2
"""Windows in a round trip, of a window that may double in it (as in Linux)."""

AVOIDANCE_GAIN: Final = 1.2
"""The same, of a window that hardly grows."""


class Pacer:
    """When the next burst may leave, and how long it may be."""

    __slots__ = ("_controller", "_next", "deadline", "rate")

    def __init__(self, controller: CongestionController) -> None:
        self.deadline: Nanos = NEVER
        """When to ask again, if a burst left and that was not done yet."""

        self.rate = 0
        """Octets per second at which the last burst was paced; 0 for at once."""

        self._controller = controller
        self._next: Nanos = 0
        """When the next burst is due."""

    def quantum(self) -> Octets:
        """Return the octets of a burst (draft-ietf-ccwg-bbr-06, 5.6.3)."""
        return send_quantum(self.rate, self._controller.mss)

    def budget(self, now: Nanos, srtt: Nanos) -> Octets:
        """Return how many octets may leave now, in whole segments."""
        if now < self._next:
            return 0
        self.rate = self._rate(srtt)
        if not self.rate:
            return MAX_SEGMENT
        late = min(now - self._next, LATENESS)
        octets = self.quantum() + max(late, 0) * self.rate // SECOND
        return octets - octets % self._controller.mss

    def room(self, now: Nanos, sender: Sender) -> Octets:
        """Return how many octets may be queued now and leave at once."""
        queued = sender.stop - min(sender.snd_nxt, sender.stop)
        return max(0, self.budget(now, sender.rtt.srtt) - queued)

    def _rate(self, srtt: Nanos) -> int:
        """Return the controller's rate, or what spreads its window over the round trip."""
        controller = self._controller
        if controller.pacing_rate or not srtt:
            return controller.pacing_rate
        if 2 * controller.cwnd < controller.ssthresh:
            return SLOW_START_GAIN * controller.cwnd * SECOND // srtt
        return int(AVOIDANCE_GAIN * float(controller.cwnd * SECOND) / float(srtt))

    def on_sent(self, now: Nanos, length: Octets) -> None:
        """A burst left: the next one is due when this one has passed at the rate (5.6.2)."""
        if not self.rate:
            return
        self._next = max(self._next, now - LATENESS) + length * SECOND // self.rate
        self.deadline = max(self._next, now)

    def on_deadline(self) -> None:
        """The time has come: whoever has data may send."""
        self.deadline = NEVER
