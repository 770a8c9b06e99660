"""What became of each octet in flight: selectively acknowledged, lost, sent again (RFC 6675)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from plait.ranges import RangeSet
from plait.units import Octets

DUP_THRESH: Final = 3
"""Segments that must have arrived above a hole before it counts as a loss (RFC 6675, 2)."""

MAX_RANGES: Final = 4096
"""Disjoint SACKed ranges that are kept; blocks of a peer that tells more are ignored."""

Block: TypeAlias = tuple[Octets, Octets]


def duplicate_report(blocks: Sequence[Block], ack: Octets) -> Block | None:
    """Return the D-SACK block of an ACK: what arrived twice (RFC 2883, 4).

    It is the first one, and lies below SEG.ACK or inside the second one.
    """
    if not blocks:
        return None
    start, stop = blocks[0]
    if start >= stop:
        return None
    if stop <= ack or (len(blocks) > 1 and blocks[1][0] <= start and stop <= blocks[1][1]):
        return start, stop
    return None


class Scoreboard:
    """Ranges of the subflow's sequence space between SND.UNA and SND.NXT."""

    __slots__ = ("lost", "news", "resent", "sacked")

    def __init__(self) -> None:
        self.sacked = RangeSet()
        self.lost = RangeSet()
        """Lost and not yet sent again."""

        self.resent = RangeSet()
        """Sent more than once."""

        self.news: list[Block] | None = None
        """What was marked as lost and not yet taken note of; None if nobody wants to know."""

    def in_flight(self, una: Octets, nxt: Octets) -> Octets:
        """Return the octets that are on the way by our best knowledge (RFC 6675: pipe)."""
        return nxt - una - self.sacked.total - self.lost.total

    def on_sack(self, blocks: Sequence[Block], una: Octets, nxt: Octets) -> list[Block]:
        """Take the blocks of an ACK and return the ranges that they newly cover.

        Blocks outside the octets in flight tell nothing and are ignored.
        """
        new: list[Block] = []
        for start, stop in blocks:
            if una < start < stop <= nxt and len(self.sacked) < MAX_RANGES:
                holes = self.sacked.holes(start, stop)
                if holes:
                    new += holes
                    self.sacked.add(start, stop)
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

    def many_sacked(self, mss: Octets) -> bool:
        """Return whether as much was SACKed as makes a hole below a loss (RFC 6675, 4: IsLost)."""
        sacked = self.sacked
        return sacked.total > (DUP_THRESH - 1) * mss or len(sacked) >= DUP_THRESH

    def mark_lost(self, start: Octets, stop: Octets) -> Octets:
        """Mark what is not SACKed; return the octets newly marked."""
        total = 0
        for low, high in self.sacked.holes(start, stop):
            fresh = self.lost.add(low, high)
            if fresh and self.news is not None:
                self.news.append((low, high))
            total += fresh
        return total

    def on_resent(self, start: Octets, stop: Octets) -> None:
        """A range was put on the wire once more."""
        self.lost.remove(start, stop)
        self.resent.add(start, stop)

    def on_timeout(self, una: Octets, nxt: Octets) -> None:
        """Count everything as lost; forget SACKs, which the peer may renege (RFC 2018, 8)."""
        if self.news is not None:
            for low, high in self.sacked.holes(una, nxt):
                self.news += self.lost.holes(low, high)
        self.sacked.clear()
        self.lost.clear()
        self.lost.add(una, nxt)
