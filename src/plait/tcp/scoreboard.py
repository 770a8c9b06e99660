"""What became of each octet in flight: selectively acknowledged, lost, sent again (RFC 6675)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from plait.ranges import RangeSet
from plait.units import Octets

DUP_THRESH: Final = 3
"""Segments that must have arrived above a hole before it counts as a loss (RFC 6675, 2)."""


class Scoreboard:
    """Ranges of the subflow's sequence space between SND.UNA and SND.NXT."""

    def __init__(self) -> None:
        self.sacked = RangeSet()
        self.lost = RangeSet()
        """Lost and not yet sent again."""

        self.resent = RangeSet()
        """Sent again in this episode and not yet given up anew."""

        self._resends: list[tuple[Octets, Octets, Octets]] = []
        """What was sent again: start, stop, and SND.NXT at that time, in order of sending."""

    def in_flight(self, una: Octets, nxt: Octets) -> Octets:
        """Return the octets that are on the way by our best knowledge (RFC 6675: pipe)."""
        return nxt - una - self.sacked.total - self.lost.total

    def on_sack(self, blocks: Iterable[tuple[Octets, Octets]], una: Octets, nxt: Octets) -> Octets:
        """Take the blocks of an ACK and return the octets they newly cover.

        Blocks outside the octets in flight tell nothing and are ignored.
        """
        new = 0
        for start, stop in blocks:
            if una < start < stop <= nxt:
                new += self.sacked.add(start, stop)
                self.lost.remove(start, stop)
        return new

    def on_cumulative_ack(self, una: Octets, ack: Octets) -> Octets:
        """Forget all below `ack` and return the octets that had not been SACKed."""
        delivered = ack - una
        if self.sacked.total:
            delivered -= self.sacked.discard_below(ack)
        if self.lost.total:
            self.lost.discard_below(ack)
        if self.resent.total:
            self.resent.discard_below(ack)
        return delivered

    def detect_losses(self, una: Octets, mss: Octets) -> Octets:
        """Mark the holes that RFC 6675's IsLost calls lost; return the octets newly marked."""
        if not self.sacked.total:
            return 0
        self._forget_lost_resends(mss)
        edge = self._loss_edge(mss)
        return sum(self.mark_lost(start, stop) for start, stop in self.sacked.holes(una, edge))

    def _forget_lost_resends(self, mss: Octets) -> None:
        """Give up retransmissions that later segments have overtaken by the threshold."""
        highest = self.sacked.last[1]
        given_up = 0
        for start, stop, mark in self._resends:
            if highest <= mark + (DUP_THRESH - 1) * mss:
                break
            self.resent.remove(start, stop)
            given_up += 1
        del self._resends[:given_up]

    def _loss_edge(self, mss: Octets) -> Octets:
        """Return the position below which enough was SACKed above."""
        above = 0
        for count, (start, stop) in enumerate(reversed(list(self.sacked)), 1):
            above += stop - start
            if above > (DUP_THRESH - 1) * mss or count == DUP_THRESH:
                return start
        return 0

    def mark_lost(self, start: Octets, stop: Octets) -> Octets:
        """Mark what is neither SACKed nor sent again; return the octets newly marked."""
        new = 0
        for low, high in self.resent.holes(start, stop):
            for begin, end in self.sacked.holes(low, high):
                new += self.lost.add(begin, end)
        return new

    def on_resent(self, start: Octets, stop: Octets, nxt: Octets) -> None:
        """A lost range was put on the wire once more, when SND.NXT was `nxt`."""
        self.lost.remove(start, stop)
        self.resent.add(start, stop)
        self._resends.append((start, stop, nxt))

    def on_timeout(self, una: Octets, nxt: Octets) -> None:
        """Count everything as lost; forget SACKs, which the peer may renege (RFC 2018, 8)."""
        self.sacked.clear()
        self.end_episode()
        self.lost.clear()
        self.lost.add(una, nxt)

    def end_episode(self) -> None:
        """Recovery is over."""
        self.resent.clear()
        self._resends.clear()
