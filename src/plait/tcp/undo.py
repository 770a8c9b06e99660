"""Signs that a recovery was for nothing: Eifel and D-SACK (RFC 3522, RFC 4015, RFC 3708).

The ACK that first moves SND.UNA after a retransmission echoes the timestamp of what it answers: if
that left before the retransmission, the original arrived.  If the peer reports every retransmission
as a duplicate, all originals did.
"""

from __future__ import annotations

from plait.tcp.scoreboard import Block
from plait.tcp.timestamps import tick
from plait.units import Nanos, Octets


class Undo:
    """What one recovery sent again, and what is known to have been needless."""

    __slots__ = ("_marker", "_resent_at", "_unreported", "armed", "expires")

    def __init__(self) -> None:
        self.armed = False
        self.expires: Octets = -1
        """SND.UNA beyond this ends the watch; -1 while the recovery lasts."""

        self._marker: Octets = 0
        self._resent_at: Nanos = -1
        self._unreported: Octets = 0
        """Octets sent again and not reported as duplicates."""

    def start(self, una: Octets) -> None:
        """A recovery begins with SND.UNA here."""
        self.armed = True
        self.expires = -1
        self._marker = una
        self._resent_at = -1
        self._unreported = 0

    def on_resent(self, now: Nanos, length: Octets) -> None:
        """The recovery sent octets again."""
        if self._resent_at < 0:
            self._resent_at = now
        self._unreported += length

    def on_duplicate_report(self, block: Block, ack: Octets) -> bool:
        """Take a D-SACK block; return whether all that was sent again was needless."""
        start, stop = block
        if not self.armed or self._resent_at < 0 or start < self._marker or stop > ack:
            return False
        self._unreported -= stop - start
        return self._unreported <= 0

    def is_original(self, echoed_at: Nanos) -> bool:
        """Return whether an ACK that moved SND.UNA answers what left before we sent again.

        Args:
            echoed_at: When the segment was sent whose timestamp the ACK echoes, -1 if unknown.
        """
        return self.armed and 0 <= echoed_at < tick(self._resent_at)

    def end(self) -> None:
        """Watch no longer."""
        self.armed = False
