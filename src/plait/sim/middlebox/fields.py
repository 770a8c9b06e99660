"""Boxes that rewrite single fields: window, timestamps, ECN."""

from __future__ import annotations

from typing import ClassVar

from plait.host.reset import reverse_flow
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import FlowTable, sides
from plait.sim.middlebox.strip import without
from plait.sim.packet import copy_segment
from plait.units import Nanos, Octets
from plait.wire.segment import CWR, ECE, SYN, Segment
from plait.wire.tcp_options import TIMESTAMPS, WindowScale


class _Scale:
    def __init__(self) -> None:
        self.shift = 0
        self.offered = False


class WindowRewriter(Middlebox):
    """Lowers every window that is larger than it likes.

    Bandwidth managers and proxies that hold senders back (RFC 8684, 3.3.4 and 6).  The window is
    that of the connection: a sender may only use the largest one it heard of on any subflow.
    """

    name: ClassVar[str] = "window-rewriter"

    def __init__(self, *, most: Octets = 8192, direction: str = "both") -> None:
        """Make the box.

        Args:
            most: Largest window it passes, in octets after scaling.
            direction: Of the segments whose window field it lowers.
        """
        self._most = most
        self._sides = sides(direction)
        self._flows: FlowTable[_Scale] = FlowTable(_Scale)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Note the scale that SYNs offer, and lower the window."""
        scale = self._flows.at(segment.flow)
        if segment.flags & SYN:
            shifts = [each.shift for each in segment.options if isinstance(each, WindowScale)]
            scale.offered = bool(shifts)
            scale.shift = shifts[0] if shifts else 0
        back = self._flows.get(reverse_flow(segment.flow))
        scaled = not segment.flags & SYN and scale.offered and back is not None and back.offered
        most = self._most >> (scale.shift if scaled else 0)
        if outbound in self._sides and segment.window > most:
            segment = copy_segment(segment)
            segment.window = most
        return [Crossing(segment, outbound)]


class StripTimestamps(Middlebox):
    """Removes the timestamps option, on SYNs so that nobody uses it, or behind their back.

    Firewalls that hide the uptime of hosts (IMC'11).  RFC 7323, 3.2 would drop what comes without;
    Linux and plait take it.
    """

    name: ClassVar[str] = "strip-timestamps"

    def __init__(self, *, syn: bool = True, direction: str = "both") -> None:
        """Make the box.

        Args:
            syn: Strip SYNs, too; if not, hosts that agreed on timestamps miss them later.
            direction: "both", "outbound" or "inbound".
        """
        self._syn = syn
        self._sides = sides(direction)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Strip."""
        if outbound in self._sides and (self._syn or not segment.flags & SYN):
            segment = without(segment, TIMESTAMPS)
        return [Crossing(segment, outbound)]


class BleachEcn(Middlebox):
    """Clears the ECN field of IP, and the ECN flags of TCP if told so.

    Routers that still take the field for the old type of service (RFC 8311, 5; many mobile
    networks): congestion marks are lost, loss is not.
    """

    name: ClassVar[str] = "bleach-ecn"

    def __init__(self, *, flags: bool = False, direction: str = "both") -> None:
        """Make the box.

        Args:
            flags: Clear ECE and CWR, too, so that ECN is not negotiated.
            direction: "both", "outbound" or "inbound".
        """
        self._flags = flags
        self._sides = sides(direction)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Clear."""
        if outbound in self._sides:
            segment = copy_segment(segment)
            segment.ecn = 0
            if self._flags:
                segment.flags &= ~(ECE | CWR)
        return [Crossing(segment, outbound)]
