"""What boxes remember of connections, and which packets they look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from plait.errors import UsageError
from plait.host.reset import reset_for, reverse_flow
from plait.sim.middlebox.base import Crossing
from plait.units import Octets
from plait.wire.segment import FIN, SYN, Segment
from plait.wire.seq import MASK32, unwrap32

T = TypeVar("T")

MAX_FLOWS: Final = 1024
"""Connections that a box remembers."""

_SIDES: Final = {
    "both": frozenset({True, False}),
    "outbound": frozenset({True}),
    "inbound": frozenset({False}),
}


def sides(direction: str) -> frozenset[bool]:
    """Return the values of `outbound` that "both", "outbound" or "inbound" stands for.

    Raises UsageError for anything else.
    """
    found = _SIDES.get(direction)
    if found is None:
        raise UsageError(f"direction {direction!r} is none of {', '.join(_SIDES)}")
    return found


def connection_of(segment: Segment, outbound: bool) -> bytes:
    """Return the flow of the connection's outbound segments, which names it."""
    return segment.flow if outbound else reverse_flow(segment.flow)


def sequence_length(segment: Segment) -> Octets:
    """Return SEG.LEN: payload, SYN and FIN."""
    return segment.length + bool(segment.flags & SYN) + bool(segment.flags & FIN)


def sequence_end(segment: Segment) -> int:
    """Return the sequence number after the segment, 32 bits."""
    return (segment.seq + sequence_length(segment)) & MASK32


def refuse(segment: Segment, outbound: bool) -> list[Crossing]:
    """Return the RST by which a box answers in the name of a segment's destination."""
    answer = reset_for(segment)
    return [] if answer is None else [Crossing(answer, not outbound)]


class FlowTable(Generic[T]):
    """State by flow; the least recently used is forgotten when there is too much."""

    def __init__(self, make: Callable[[], T], limit: int = MAX_FLOWS) -> None:
        self._make = make
        self._limit = limit
        self._entries: dict[bytes, T] = {}

    def __len__(self) -> int:
        """Return the number of flows that are remembered."""
        return len(self._entries)

    def at(self, flow: bytes) -> T:
        """Return the state of a flow, new if it is not known."""
        entry = self._entries.pop(flow, None)
        if entry is None:
            entry = self._make()
            if len(self._entries) >= self._limit:
                del self._entries[next(iter(self._entries))]
        self._entries[flow] = entry
        return entry

    def get(self, flow: bytes) -> T | None:
        """Return the state of a flow, None if it is not known."""
        return self._entries.get(flow)

    def forget(self, flow: bytes) -> None:
        """Forget a flow."""
        self._entries.pop(flow, None)

    def entries(self) -> list[T]:
        """Return all that is remembered, the least recently used first."""
        return list(self._entries.values())


class Numbering:
    """Positions in one direction of a connection: the first segment seen, normally a SYN, is 0."""

    def __init__(self) -> None:
        self.initial = -1
        """Sequence number of position 0, -1 before any segment."""

        self.edge: Octets = 0
        """Position after the last octet seen."""

    @property
    def known(self) -> bool:
        """Return whether this direction was seen at all."""
        return self.initial >= 0

    def see(self, segment: Segment) -> Octets:
        """Take a segment of this direction into account and return its position."""
        if segment.flags & SYN and (not self.known or self.edge > 1):
            self.initial = segment.seq  # a new connection of the same flow starts anew
            self.edge = 0
        elif not self.known:
            self.initial = (segment.seq - 1) & MASK32
            self.edge = 1
        position = self.position(segment.seq)
        self.edge = max(self.edge, position + sequence_length(segment))
        return position

    def position(self, number: int) -> Octets:
        """Return the position that a sequence or acknowledgment number stands for."""
        return unwrap32(number, self.initial, self.edge)

    def number(self, position: Octets) -> int:
        """Return the sequence number of a position."""
        return (self.initial + position) & MASK32
