"""The contract of middleboxes: a packet comes from one side, packets leave on either.

A box has an inside, where the hosts it serves are, and an outside.  It may answer with any number
of packets in both directions, keep packets back and let them go later, and remember what it saw;
all of its state has a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plait.sim.packet import Packet
from plait.units import Nanos
from plait.wire.icmp import IcmpError
from plait.wire.segment import Segment


@dataclass(init=False, slots=True)
class Crossing:
    """A packet that leaves the box on one of its sides."""

    packet: Packet
    outbound: bool
    """It leaves on the outside."""

    def __init__(self, packet: Packet, outbound: bool) -> None:
        self.packet = packet
        self.outbound = outbound


class Middlebox:
    """Passes everything until a subclass differs.

    Packets are shared with captures and duplicates on their way: a box changes copies.  Segments
    are plain ones; whoever owns super-segments cuts them before.  What
    can be chosen are keyword-only arguments of `__init__`: times in nanoseconds, lengths in octets.
    """

    name: ClassVar[str] = ""
    """What scenarios call it."""

    def process(self, now: Nanos, packet: Packet, *, outbound: bool) -> list[Crossing]:
        """Take a packet that travels outbound or inbound and return what leaves."""
        if isinstance(packet, Segment):
            return self.on_segment(now, packet, outbound)
        if isinstance(packet, IcmpError):
            return self.on_error(now, packet, outbound)
        return [Crossing(packet, outbound)]

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Take a segment and return what leaves."""
        return [Crossing(segment, outbound)]

    def on_error(self, now: Nanos, error: IcmpError, outbound: bool) -> list[Crossing]:
        """Take an ICMP error, which quotes a segment that went the other way."""
        return [Crossing(error, outbound)]

    def next_timeout(self) -> Nanos | None:
        """Return when `handle_timeout` is due; None while nothing is kept back."""
        return None

    def handle_timeout(self, now: Nanos) -> list[Crossing]:
        """Return what was kept back until now."""
        return []


class Transparent(Middlebox):
    """Changes nothing: a place to capture, or to compare the others with."""

    name: ClassVar[str] = "transparent"
