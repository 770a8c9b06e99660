"""Boxes that cut segments into smaller ones or join them into larger ones."""

from __future__ import annotations

from typing import ClassVar, Final

from plait.errors import UsageError
from plait.host.output import split
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import FlowTable, sequence_end, sides
from plait.sim.middlebox.strip import without
from plait.sim.packet import copy_segment
from plait.units import MILLISECOND, Nanos, Octets
from plait.wire.segment import PSH, Segment
from plait.wire.tcp_options import MPTCP

_COPIES: Final = ("all", "first")


class Splitter(Middlebox):
    """Cuts payload into pieces of equal size.

    Segmentation offload copies the options to all pieces, so that one mapping arrives many times;
    other boxes of IMC'11 keep them on the first piece only.  Both are why a mapping is looked up by
    position and not by packet (RFC 8684, 3.3.1 and 6; RFC 8041, 3.1).
    """

    name: ClassVar[str] = "splitter"

    def __init__(
        self, *, size: Octets = 536, options: str = "all", direction: str = "both"
    ) -> None:
        """Make the box.  Raises UsageError for other values of `options` and `direction`.

        Args:
            size: Payload octets of a piece.
            options: Which pieces keep Multipath TCP's options: "all" or "first".
            direction: "both", "outbound" or "inbound".
        """
        if options not in _COPIES:
            raise UsageError(f"options {options!r} is none of {', '.join(_COPIES)}")
        self._size = size
        self._first_only = options == "first"
        self._sides = sides(direction)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Cut what is longer than a piece."""
        if outbound not in self._sides or segment.length <= self._size:
            return [Crossing(segment, outbound)]
        whole = copy_segment(segment)
        whole.segment_size = self._size
        pieces = split(whole)
        if self._first_only:
            pieces[1:] = [without(piece, MPTCP) for piece in pieces[1:]]
        return [Crossing(piece, outbound) for piece in pieces]


class _Held:
    """A segment that waits for the next one."""

    def __init__(self) -> None:
        self.segment: Segment | None = None
        self.outbound = False
        self.until: Nanos = 0


class Coalescer(Middlebox):
    """Joins consecutive segments and keeps the options of the first.

    Proxies, traffic normalizers and some receive offload (IMC'11; HotMiddlebox'13).  Mappings of
    later segments are lost, so their data has to come again (RFC 8684, 3.3.1 and 6).
    """

    name: ClassVar[str] = "coalescer"

    def __init__(
        self, *, limit: Octets = 1460, hold: Nanos = MILLISECOND, direction: str = "both"
    ) -> None:
        """Make the box.

        Args:
            limit: Payload octets of the largest segment it makes.
            hold: How long a segment waits for the next one, in nanoseconds.
            direction: "both", "outbound" or "inbound".
        """
        self._limit = limit
        self._hold = hold
        self._sides = sides(direction)
        self._flows: FlowTable[_Held] = FlowTable(_Held)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Join the segment to the one that waits, or let that one go first."""
        if outbound not in self._sides:
            return [Crossing(segment, outbound)]
        held = self._flows.at(segment.flow)
        if held.segment is not None and self._joins(held.segment, segment):
            held.segment = _joined(held.segment, segment)
            return self._release(held) if held.segment.length == self._limit else []
        out = self._release(held)
        if 0 < segment.length < self._limit and not segment.flags & 0x07:
            held.segment = segment
            held.outbound = outbound
            held.until = now + self._hold
            return out
        return [*out, Crossing(segment, outbound)]

    def _joins(self, first: Segment, second: Segment) -> bool:
        return (
            second.length > 0
            and second.seq == sequence_end(first)
            and second.flags | PSH == first.flags | PSH
            and first.length + second.length <= self._limit
        )

    @staticmethod
    def _release(held: _Held) -> list[Crossing]:
        if held.segment is None:
            return []
        segment = held.segment
        held.segment = None
        return [Crossing(segment, held.outbound)]

    def next_timeout(self) -> Nanos | None:
        """Return when the segment that waits longest is let go."""
        waiting = [held.until for held in self._flows.entries() if held.segment is not None]
        return min(waiting, default=None)

    def handle_timeout(self, now: Nanos) -> list[Crossing]:
        """Let go what waited long enough."""
        due = [held for held in self._flows.entries() if held.until <= now]
        return [crossing for held in due for crossing in self._release(held)]


def _joined(first: Segment, second: Segment) -> Segment:
    """Return both as one: payload and acknowledgment of both, options of the first."""
    twin = copy_segment(first)
    twin.payload = first.payload + second.payload
    twin.length = first.length + second.length
    twin.flags |= second.flags
    twin.ack = second.ack
    twin.window = second.window
    return twin
