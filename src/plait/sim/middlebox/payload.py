"""Boxes that change what a connection carries, and correct the TCP checksum."""

from __future__ import annotations

from typing import ClassVar, Final

from plait.host.reset import reverse_flow
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import FlowTable, Numbering, sides
from plait.sim.packet import copy_segment
from plait.units import Nanos, Octets
from plait.wire.segment import ACK, SYN, Segment

MAX_EDITS: Final = 64
"""Places of one direction that a gateway remembers to have edited."""


class Corrupter(Middlebox):
    """Flips every bit of some octets of each connection; retransmissions suffer alike.

    Gateways that rewrite addresses in content without changing its length, and faulty hardware
    behind the checksum (RFC 8684, 3.3.1 and 3.7).  Without DSS checksums nobody notices.
    """

    name: ClassVar[str] = "corrupter"

    def __init__(
        self, *, offset: Octets = 0, length: Octets = 1, direction: str = "outbound"
    ) -> None:
        """Make the box.

        Args:
            offset: Payload octets of one direction that come before.
            length: Octets changed.
            direction: "both", "outbound" or "inbound".
        """
        self._start = offset + 1
        self._stop = offset + 1 + length
        self._sides = sides(direction)
        self._flows: FlowTable[Numbering] = FlowTable(Numbering)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Flip what of the segment lies between the bounds."""
        position = self._flows.at(segment.flow).see(segment)
        low = max(self._start, position) - position
        high = min(self._stop, position + segment.length) - position
        if outbound not in self._sides or segment.flags & SYN or low >= high:
            return [Crossing(segment, outbound)]
        octets = bytearray(b"".join(segment.payload))
        for at in range(low, high):
            octets[at] ^= 0xFF
        twin = copy_segment(segment)
        twin.payload = (bytes(octets),)
        return [Crossing(twin, outbound)]


class _Edits:
    """What was edited in one direction: positions as the sender counts, in ascending order."""

    def __init__(self) -> None:
        self.numbers = Numbering()
        self.places: list[Octets] = []

    def before(self, position: Octets, length: Octets) -> int:
        """Return how many edits lie wholly below a position of the sender."""
        return sum(1 for place in self.places if place + length <= position)


class PayloadAlg(Middlebox):
    """An application-level gateway: replaces a string and keeps sequence numbers consistent.

    FTP and SIP helpers of NATs, proxies that add headers (RFC 8041, 3.1: 125 of 184,000 connections
    fell back for it; RFC 8684, 6).  Acknowledgments and SACK blocks are shifted back, as Linux's
    helpers do, so that TCP never notices; a DSS checksum does.
    """

    name: ClassVar[str] = "alg"

    def __init__(self, *, find: str, replace: str, direction: str = "outbound") -> None:
        """Make the box.

        Args:
            find: What is replaced wherever one segment holds all of it, in UTF-8.
            replace: What takes its place, of any length.
            direction: "both", "outbound" or "inbound".
        """
        self._find = find.encode()
        self._replace = replace.encode()
        self._growth = len(self._replace) - len(self._find)
        self._sides = sides(direction)
        self._flows: FlowTable[_Edits] = FlowTable(_Edits)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Edit the payload; translate SEG.SEQ, SEG.ACK and SACK."""
        twin = copy_segment(segment)
        if outbound in self._sides:
            self._edit(self._flows.at(segment.flow), segment, twin)
        back = self._flows.get(reverse_flow(segment.flow))
        if back is not None and back.places and segment.flags & ACK:
            twin.ack = self._original(back, segment.ack)
            twin.sack = tuple(
                (self._original(back, left), self._original(back, right))
                for left, right in segment.sack
            )
        return [Crossing(twin, outbound)]

    def _edit(self, edits: _Edits, segment: Segment, twin: Segment) -> None:
        edge = edits.numbers.edge
        position = edits.numbers.see(segment)
        size = len(self._find)
        shift = edits.before(position, size) * self._growth
        twin.seq = edits.numbers.number(position + shift)
        if segment.flags & SYN or not segment.length:
            return
        octets = b"".join(segment.payload)
        parts: list[bytes] = []
        taken = 0
        while (at := octets.find(self._find, taken)) >= 0:
            known = position + at in edits.places
            fresh = position + at >= edge and len(edits.places) < MAX_EDITS
            if not known and not fresh:
                break
            if fresh:
                edits.places.append(position + at)
            parts += [octets[taken:at], self._replace]
            taken = at + size
        if taken:
            edited = b"".join([*parts, octets[taken:]])
            twin.payload = (edited,) if edited else ()
            twin.length = len(edited)

    def _original(self, edits: _Edits, number: int) -> int:
        """Return the sender's number for one that counts what the gateway made."""
        position = edits.numbers.position(number)
        shift = 0
        for place in edits.places:
            if position < place + shift + len(self._replace):
                return edits.numbers.number(min(position, place + shift) - shift)
            shift += self._growth
        return edits.numbers.number(position - shift)
