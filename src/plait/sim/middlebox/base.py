"""The contract of middleboxes: a packet comes from one side, packets leave on either.

A box has an inside, where the hosts it serves are, and an outside.  It may answer with any number
of packets in both directions, keep packets back and let them go later, and remember what it saw;
all of its state has a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plait.units import Nanos
from plait.wire.segment import Segment


@dataclass(init=False, slots=True)
class Crossing:
    """A packet that leaves the box on one of its sides."""

    packet: Segment
    outbound: bool
    """It leaves on the outside."""

    def __init__(self, packet: Segment, outbound: bool) -> None:
        self.packet = packet
        self.outbound = outbound


class Middlebox:
    """Passes everything until a subclass differs.

    Packets are the box's own to change: whoever hands one over does not use it afterwards.
    """

    name: ClassVar[str] = ""
    """What scenarios call it."""

    def process(self, now: Nanos, packet: Segment, *, outbound: bool) -> list[Crossing]:
        """Take a packet that travels outbound or inbound and return what leaves."""
        return [Crossing(packet, outbound)]

    def next_timeout(self) -> Nanos | None:
        """Return when `handle_timeout` is due; None while nothing is kept back."""
        return None

    def handle_timeout(self, now: Nanos) -> list[Crossing]:
        """Return what was kept back until now."""
        return []
