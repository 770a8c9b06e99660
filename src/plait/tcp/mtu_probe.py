"""A segment larger than the others, to learn whether the path carries it (RFC 4821, 7).

It is made of new data and is followed by enough more for its loss to show.  If nothing but the
probe is lost, that is its size and no congestion (RFC 4821, 7.6.4): its octets go again in segments
that fit, and the window stays.
"""

from __future__ import annotations

from typing import Final

from plait.tcp.scoreboard import DUP_THRESH, Scoreboard
from plait.units import Octets

NONE: Final = -1
"""No position."""


class MtuProbe:
    """The probe that one connection wants to send, or has in flight."""

    __slots__ = ("failed", "start", "stop", "wanted")

    def __init__(self) -> None:
        self.wanted: Octets = 0
        """Payload of the next probe; 0 for none."""

        self.start: Octets = 0
        self.stop: Octets = NONE
        """Position after the probe in flight."""

        self.failed = False
        """The last probe was lost, alone."""

    def fits(self, left: Octets, allowed: Octets, mss: Octets) -> bool:
        """Return whether the probe may leave now.

        Args:
            left: New octets queued under the same mapping.
            allowed: New octets that both windows let go.
            mss: SMSS.
        """
        return 0 < self.wanted <= left and self.wanted + DUP_THRESH * mss <= allowed

    def on_sent(self, start: Octets, stop: Octets) -> None:
        """The probe left."""
        self.start = start
        self.stop = stop
        self.wanted = 0

    def explains(self, lost: Octets, scoreboard: Scoreboard) -> bool:
        """Return whether the probe is all that was found lost, and note that it failed."""
        if self.stop == NONE or lost != self.stop - self.start:
            return False
        if not scoreboard.lost.covers(self.start, self.stop):
            return False
        self.fail()
        return True

    def fail(self) -> None:
        """The probe in flight did not arrive."""
        self.failed = self.failed or self.stop != NONE
        self.stop = NONE
