"""Boxes that end connections in the name of the hosts."""

from __future__ import annotations

from typing import ClassVar

from plait.host.reset import reverse_flow
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import FlowTable, connection_of, sequence_end, sides
from plait.units import Nanos, Octets
from plait.wire.segment import ACK, FIN, RST, Segment


class _Watched:
    def __init__(self) -> None:
        self.octets: Octets = 0
        self.done = False


class RstInjector(Middlebox):
    """Sends RSTs in sequence to both hosts once a connection carried some data.

    Censors, traffic shapers and firewalls whose state overflowed (RFC 8684, 5 and 6).  It ends one
    subflow; the connection goes on over others (RFC 8684, 3.3.3).
    """

    name: ClassVar[str] = "rst-injector"
    _flags: ClassVar[int] = RST

    def __init__(self, *, after_octets: Octets = 1, toward: str = "both") -> None:
        """Make the box.

        Args:
            after_octets: Payload octets of a connection, both directions, at which it strikes.
            toward: Who is told: "both", "outbound" for the host outside, or "inbound".
        """
        self._after = after_octets
        self._toward = sides(toward)
        self._flows: FlowTable[_Watched] = FlowTable(_Watched)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Pass the segment, and strike behind it, once for each connection."""
        out = [Crossing(segment, outbound)]
        watched = self._flows.at(connection_of(segment, outbound))
        watched.octets += segment.length
        if watched.done or not segment.length or watched.octets < self._after:
            return out
        watched.done = True
        end = sequence_end(segment)
        forth = Segment(segment.flow, end, segment.ack, self._flags | ACK, segment.window)
        back = Segment(
            reverse_flow(segment.flow), segment.ack, end, self._flags | ACK, segment.window
        )
        for forged, side in ((forth, outbound), (back, not outbound)):
            if side in self._toward:
                out.append(Crossing(forged, side))
        return out


class FinInjector(RstInjector):
    """Sends FINs instead of RSTs, as proxies do that end idle or unwanted connections politely.

    A FIN ends a subflow only; data that follows it there comes again elsewhere, since it has no
    Data ACK (RFC 8684, 3.3.3).
    """

    name: ClassVar[str] = "fin-injector"
    _flags: ClassVar[int] = FIN
