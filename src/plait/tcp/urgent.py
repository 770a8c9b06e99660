"""Urgent data: a mark in the stream that the peer's application is told of (RFC 9293, 3.8.5).

What is urgent stays in the stream and in its place (RFC 6093, 6).  A mapping of Multipath TCP
carries none (RFC 8684, 3.3.1), so only plain connections send it.
"""

from __future__ import annotations

from plait.units import Octets
from plait.wire.segment import URG, Segment

FARTHEST = 0xFFFF
"""Largest urgent pointer."""


class Urgent:
    """Urgent pointers of both directions; 0 is none."""

    __slots__ = ("rcv_up", "snd_up")

    def __init__(self) -> None:
        self.snd_up: Octets = 0
        """Position after the last urgent octet queued."""

        self.rcv_up: Octets = 0
        """The same of the peer."""

    def on_arrival(self, segment: Segment, seq: Octets) -> None:
        """Take the peer's pointer, which never goes back."""
        if segment.flags & URG and segment.urgent:
            self.rcv_up = max(self.rcv_up, seq + segment.urgent)

    def complete(self, segment: Segment, start: Octets) -> None:
        """Point from a segment of ours to the end of what is urgent.

        A super-segment cannot: its pieces would repeat a pointer that counts from the first.
        """
        if start < self.snd_up and not segment.segment_size:
            segment.flags |= URG
            segment.urgent = min(self.snd_up - start, FARTHEST)
