"""Boxes that follow the sequence space and want it to be whole."""

from __future__ import annotations

from typing import ClassVar

from plait.host.reset import reverse_flow
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import FlowTable, Numbering, sequence_length, sides
from plait.units import Nanos, Octets
from plait.wire.segment import ACK, RST, SYN, Segment


class DropUnseenAcks(Middlebox):
    """Drops acknowledgments of octets that never passed it.

    A quarter of the paths of IMC'11 do so or worse.  Data that took another path could never be
    acknowledged here, which is why each subflow has a sequence space of its own (RFC 8684, 6).
    """

    name: ClassVar[str] = "drop-unseen-acks"

    def __init__(self) -> None:
        self._flows: FlowTable[Numbering] = FlowTable(Numbering)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Pass what acknowledges nothing new to us."""
        back = self._flows.get(reverse_flow(segment.flow))
        if segment.flags & ACK and (
            back is None or not back.known or back.position(segment.ack) > back.edge
        ):
            return []
        self._flows.at(segment.flow).see(segment)
        return [Crossing(segment, outbound)]


class _Stream:
    """One direction: the next octet wanted, and what waits behind a hole."""

    def __init__(self) -> None:
        self.numbers = Numbering()
        self.next: Octets = 0
        self.waiting: dict[Octets, Segment] = {}
        self.held: Octets = 0


class HoldBehindHole(Middlebox):
    """Holds data back while data before it is missing.

    Normalizers and intrusion detectors that read the stream; a quarter of the paths of IMC'11 on
    port 80.  The receiver sees no hole, so it sends no SACK, and only a time-out repairs the loss.
    """

    name: ClassVar[str] = "hold-behind-hole"

    def __init__(self, *, buffer: Octets = 1 << 20, direction: str = "both") -> None:
        """Make the box.

        Args:
            buffer: Octets held back in each direction of a connection; more are dropped.
            direction: "both", "outbound" or "inbound".
        """
        self._buffer = buffer
        self._sides = sides(direction)
        self._flows: FlowTable[_Stream] = FlowTable(_Stream)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Pass what is in order or old, and what waited for it."""
        if outbound not in self._sides:
            return [Crossing(segment, outbound)]
        stream = self._flows.at(segment.flow)
        position = stream.numbers.see(segment)
        length = sequence_length(segment)
        if segment.flags & SYN or stream.next == 0:
            stream.next = position
        if length and position > stream.next and not segment.flags & RST:
            if position not in stream.waiting and stream.held + segment.length <= self._buffer:
                stream.waiting[position] = segment
                stream.held += segment.length
            return []
        stream.next = max(stream.next, position + length)
        return [Crossing(segment, outbound), *self._release(stream, outbound)]

    @staticmethod
    def _release(stream: _Stream, outbound: bool) -> list[Crossing]:
        """Let go what is in order by now."""
        out: list[Crossing] = []
        for position in sorted(stream.waiting):
            if position > stream.next:
                break
            segment = stream.waiting.pop(position)
            stream.held -= segment.length
            stream.next = max(stream.next, position + sequence_length(segment))
            out.append(Crossing(segment, outbound))
        return out
