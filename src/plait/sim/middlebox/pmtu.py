"""Hops that pass only smaller packets than the hosts expect."""

from __future__ import annotations

from typing import ClassVar

from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import sides
from plait.sim.packet import packet_octets, too_big
from plait.units import Nanos, Octets
from plait.wire.segment import Segment


class PmtuBlackHole(Middlebox):
    """Drops packets above an MTU and says nothing.

    Tunnels behind firewalls that drop all ICMP (RFC 2923, 2.1; RFC 8899).  The handshake succeeds
    and the first full segment never arrives: data has to move to another subflow.
    """

    name: ClassVar[str] = "pmtu-black-hole"

    def __init__(self, *, mtu: Octets = 1280, direction: str = "both") -> None:
        """Make the box.

        Args:
            mtu: Octets of the largest packet that passes, headers counted.
            direction: "both", "outbound" or "inbound".
        """
        self._mtu = mtu
        self._sides = sides(direction)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Drop what is too big."""
        if outbound in self._sides and packet_octets(segment) > self._mtu:
            return self._refused(segment, outbound)
        return [Crossing(segment, outbound)]

    def _refused(self, segment: Segment, outbound: bool) -> list[Crossing]:
        return []


class PmtuLimit(PmtuBlackHole):
    """Drops packets above an MTU and tells their sender by ICMP, as a router should.

    RFC 1191, 4 and RFC 8201, 4; PPPoE lines and tunnels.
    """

    name: ClassVar[str] = "pmtu-limit"

    def _refused(self, segment: Segment, outbound: bool) -> list[Crossing]:
        return [Crossing(too_big(segment, self._mtu), not outbound)]
