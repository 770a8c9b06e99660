"""Boxes that remove, overwrite or refuse TCP options they do not know."""

from __future__ import annotations

from typing import ClassVar, Final

from plait.errors import UsageError
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import FlowTable, connection_of, refuse, sides
from plait.sim.packet import copy_segment
from plait.units import Nanos, Octets
from plait.wire.segment import ABSENT, ACK, SYN, Segment
from plait.wire.tcp import parse_tcp, tcp_header
from plait.wire.tcp_options import (
    END_OF_OPTIONS,
    MPTCP,
    MSS,
    NOP,
    SACK,
    SACK_PERMITTED,
    TIMESTAMPS,
    WINDOW_SCALE,
)

KNOWN: Final = frozenset({END_OF_OPTIONS, NOP, MSS, WINDOW_SCALE, SACK_PERMITTED, SACK, TIMESTAMPS})
"""Kinds of options as old as RFC 1323 and RFC 2018, which every box knows."""

_FILLERS: Final = {"nop": NOP, "eol": END_OF_OPTIONS}
_HEADER: Final = 20


def kinds_of(segment: Segment) -> set[int]:
    """Return the kinds of a segment's options, padding left out."""
    kinds = {option.serialize()[0] for option in segment.options}
    if segment.dss is not None:
        kinds.add(MPTCP)
    if segment.ts_val != ABSENT:
        kinds.add(TIMESTAMPS)
    if segment.sack:
        kinds.add(SACK)
    return kinds


def without(segment: Segment, kind: int) -> Segment:
    """Return a copy without the options of one kind."""
    twin = copy_segment(segment)
    if kind == MPTCP:
        twin.dss = None
    elif kind == TIMESTAMPS:
        twin.ts_val = ABSENT
        twin.ts_ecr = 0
    elif kind == SACK:
        twin.sack = ()
    twin.options = tuple(option for option in twin.options if option.serialize()[0] != kind)
    return twin


def overwritten(segment: Segment, kind: int, filler: int) -> Segment:
    """Return a copy as hosts read it once every octet of the options of `kind` is `filler`."""
    header = bytearray(tcp_header(segment))
    at = _HEADER
    while at < len(header) and header[at] != END_OF_OPTIONS:
        length = 1 if header[at] == NOP else header[at + 1]
        if header[at] == kind:
            header[at : at + length] = bytes((filler,)) * length
        at += length
    twin = parse_tcp(segment.flow, bytes(header))
    twin.payload = segment.payload
    twin.length = segment.length
    twin.ecn = segment.ecn
    twin.marking = segment.marking
    return twin


class StripSyn(Middlebox):
    """Removes an option from SYNs, so that connections are plain TCP and joins fail.

    The most frequent interference with new options: a few percent of the paths of IMC'11, more on
    port 80 (proxies).  RFC 8041, 3.1 names operators that saw it; RFC 8684, 6 falls back.
    """

    name: ClassVar[str] = "strip-syn"

    def __init__(self, *, kind: int = MPTCP, direction: str = "both") -> None:
        """Make the box.

        Args:
            kind: Option kind to be removed.
            direction: Which SYNs: "both", "outbound" or "inbound".
        """
        self._kind = kind
        self._sides = sides(direction)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Strip SYNs that begin a connection."""
        if outbound in self._sides and segment.flags & (SYN | ACK) == SYN:
            segment = without(segment, self._kind)
        return [Crossing(segment, outbound)]


class StripSynAck(StripSyn):
    """Removes an option from SYN/ACKs only: the listener believes what the initiator does not.

    Asymmetric routes make it, with a box on the way back alone (IMC'11; RFC 8684, 3.7).
    """

    name: ClassVar[str] = "strip-syn-ack"

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Strip SYN/ACKs."""
        if outbound in self._sides and segment.flags & (SYN | ACK) == SYN | ACK:
            segment = without(segment, self._kind)
        return [Crossing(segment, outbound)]


class StripData(Middlebox):
    """Lets an option pass on SYNs and removes it afterwards.

    IMC'11 found boxes that treat SYNs and data differently, which is why the handshake of RFC 8684
    goes on until data with options was acknowledged (3.1 and 3.7).
    """

    name: ClassVar[str] = "strip-data"

    def __init__(
        self, *, kind: int = MPTCP, direction: str = "both", pure_acks: bool = True
    ) -> None:
        """Make the box.

        Args:
            kind: Option kind to be removed.
            direction: "both", "outbound" or "inbound": a box on one way only sees that one.
            pure_acks: Strip segments without payload, too.
        """
        self._kind = kind
        self._sides = sides(direction)
        self._pure_acks = pure_acks

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Strip what follows the SYNs."""
        wanted = segment.length > 0 or self._pure_acks
        if wanted and outbound in self._sides and not segment.flags & SYN:
            segment = self._changed(segment)
        return [Crossing(segment, outbound)]

    def _changed(self, segment: Segment) -> Segment:
        return without(segment, self._kind)


class OverwriteOptions(StripData):
    """Overwrites an option in place after the SYN, by NOPs or by ends of the option list.

    Saves the box moving the header.  RFC 8041, 3.1 tells of one that writes EOL, after which hosts
    read no option any more, whatever follows it.
    """

    name: ClassVar[str] = "overwrite-options"

    def __init__(
        self,
        *,
        filler: str = "nop",
        kind: int = MPTCP,
        direction: str = "both",
        pure_acks: bool = True,
    ) -> None:
        """Make the box; `filler` is "nop" or "eol", the rest is as for `StripData`."""
        super().__init__(kind=kind, direction=direction, pure_acks=pure_acks)
        if filler not in _FILLERS:
            raise UsageError(f"filler {filler!r} is none of {', '.join(_FILLERS)}")
        self._filler = _FILLERS[filler]

    def _changed(self, segment: Segment) -> Segment:
        return overwritten(segment, self._kind, self._filler)


class _Passed:
    """How much of one connection passed, both directions together."""

    def __init__(self) -> None:
        self.octets: Octets = 0
        self.packets = 0


class StripLate(StripData):
    """Begins to remove an option in the middle of a connection.

    A route that moves to a path with a stripping box, or a box that loads its state late.  RFC
    8684, 3.7 falls back if only one subflow ever was, and resets the subflow otherwise.
    """

    name: ClassVar[str] = "strip-late"

    def __init__(
        self,
        *,
        after_octets: Octets = 0,
        after_packets: int = 0,
        kind: int = MPTCP,
        direction: str = "both",
        pure_acks: bool = True,
    ) -> None:
        """Make the box.

        Args:
            after_octets: Payload octets of a connection that pass before, retransmissions counted.
            after_packets: Segments of a connection that pass before.
            kind: Option kind to be removed.
            direction: Of what is stripped; both directions count.
            pure_acks: Strip segments without payload, too.
        """
        super().__init__(kind=kind, direction=direction, pure_acks=pure_acks)
        self._after_octets = after_octets
        self._after_packets = after_packets
        self._flows: FlowTable[_Passed] = FlowTable(_Passed)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Count, and strip once enough passed."""
        passed = self._flows.at(connection_of(segment, outbound))
        late = passed.octets >= self._after_octets and passed.packets >= self._after_packets
        passed.octets += segment.length
        passed.packets += 1
        if late:
            return super().on_segment(now, segment, outbound)
        return [Crossing(segment, outbound)]


class DropUnknownSyn(Middlebox):
    """Drops SYNs that carry an option it does not know.

    Firewalls with a list of what is allowed; rare in IMC'11.  After some tries hosts send SYNs
    without it (RFC 8684, 3.9.3).
    """

    name: ClassVar[str] = "drop-unknown-syn"

    def __init__(self, *, reset: bool = False, direction: str = "both") -> None:
        """Make the box.

        Args:
            reset: Answer with RST instead of silence.
            direction: Which SYNs: "both", "outbound" or "inbound".
        """
        self._reset = reset
        self._sides = sides(direction)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Drop SYNs, with and without ACK."""
        if outbound not in self._sides or not segment.flags & SYN or kinds_of(segment) <= KNOWN:
            return [Crossing(segment, outbound)]
        return refuse(segment, outbound) if self._reset else []
