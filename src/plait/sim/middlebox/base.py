"""The contract of middleboxes: nodes with two sides that may do as they like with packets."""

from __future__ import annotations

from random import Random
from typing import ClassVar, Final

from plait.addresses import IpAddress
from plait.sim.clock import Clock
from plait.sim.link import Link
from plait.sim.node import Node
from plait.sim.packet import Packet, too_big
from plait.units import Nanos
from plait.wire.segment import Segment

INSIDE: Final = 0
"""The port of the first link that a scenario names for the box."""

OUTSIDE: Final = 1


class Middlebox(Node):
    """Passes packets between its inside and its outside, changed or not.

    A subclass overrides `process`; its options are keyword-only arguments of its `__init__`, whose
    annotations (bool, int, float, str) say what a scenario may give.  Packets are shared with
    whoever sent them: change a `copy_segment`, never the packet itself.

    Attributes:
        addresses: Addresses to be routed to its outside, because it stands for them.
        clock: For boxes that do something later: `clock.call_at`, then `emit`.
        random: A random source of its own.
    """

    kind: ClassVar[str] = ""

    def __init__(self, clock: Clock, name: str, random: Random) -> None:
        super().__init__(name)
        self.clock = clock
        self.random = random
        self.addresses: tuple[IpAddress, ...] = ()

    def process(self, now: Nanos, packet: Packet, outbound: bool) -> list[Packet]:
        """Return what goes on, in the same direction, when `packet` has come.

        Args:
            now: The time of its arrival.
            packet: A segment, an ICMP error, or octets that are neither.
            outbound: It came from the inside.
        """
        raise NotImplementedError

    def emit(self, packet: Packet, outbound: bool) -> None:
        """Send a packet of the box's own, or one it held back."""
        self.record(self.clock.now, packet)
        self.ports[OUTSIDE if outbound else INSIDE].send(packet)

    def receive(self, now: Nanos, packet: Packet, port: int) -> None:
        """Let `process` have the packet and send what it returns; captures show both sides."""
        self.record(now, packet)
        outbound = port == INSIDE
        for made in self.process(now, packet, outbound):
            if made is packet:
                self.ports[OUTSIDE if outbound else INSIDE].send(made)
            else:
                self.emit(made, outbound)

    def on_too_big(self, now: Nanos, packet: Packet, link: Link) -> None:
        """Tell the source how large packets may be, as a router does."""
        if isinstance(packet, Segment):
            self.ports[INSIDE if link is self.ports[OUTSIDE] else OUTSIDE].send(
                too_big(packet, link.mtu)
            )


class Transparent(Middlebox):
    """Changes nothing: a place to capture, or to compare the others with."""

    kind: ClassVar[str] = "transparent"

    def process(self, now: Nanos, packet: Packet, outbound: bool) -> list[Packet]:
        """Pass the packet on."""
        return [packet]
