"""A firewall that lets in what belongs to connections it saw begin."""

from __future__ import annotations

from typing import ClassVar, Final

from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import FlowTable, connection_of, refuse
from plait.units import SECOND, Nanos
from plait.wire.segment import ACK, RST, SYN, Segment

IDLE: Final = 3600 * SECOND


class _Opened:
    def __init__(self) -> None:
        self.used: Nanos = 0


class StatefulFirewall(Middlebox):
    """Passes connections that begin inside, and forgets them after a RST or a time of silence.

    In front of nearly every office and home (RFC 8041, 3.1).  A subflow has to begin with a SYN of
    its own because of it: striping one connection over paths would fail (RFC 6182, 2.2.1).
    """

    name: ClassVar[str] = "firewall"

    def __init__(self, *, idle: Nanos = IDLE, reset: bool = False) -> None:
        """Make the box.

        Args:
            idle: Silence after which a connection is forgotten, in nanoseconds.
            reset: Answer what is refused with RST instead of silence.
        """
        self._idle = idle
        self._reset = reset
        self._opened: FlowTable[_Opened] = FlowTable(_Opened)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Pass what belongs to a connection."""
        flow = connection_of(segment, outbound)
        if outbound and segment.flags & (SYN | ACK) == SYN:
            self._opened.at(flow).used = now
        opened = self._opened.get(flow)
        if opened is None or now - opened.used > self._idle:
            self._opened.forget(flow)
            return refuse(segment, outbound) if self._reset else []
        self._opened.at(flow).used = now
        if segment.flags & RST:
            self._opened.forget(flow)
        return [Crossing(segment, outbound)]
