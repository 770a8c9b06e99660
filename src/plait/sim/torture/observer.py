"""The invariants that hold for every segment that leaves a host.

The observer judges by what crosses the edge of the host, not by what the host believes: windows as
they reached it, payload as it leaves.  Only which connection a flow belongs to, and the initial
data sequence number, it looks up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from plait.addresses import path_of_arrival
from plait.host.host import Host
from plait.host.reset import reverse_flow
from plait.mptcp.connection import Connection
from plait.sim.station import Observer
from plait.sim.torture.holdings import find_received, find_sent
from plait.sim.torture.talk import Party, expected
from plait.sim.torture.violation import Violation
from plait.units import Nanos, Octets
from plait.wire.mptcp.dss import DATA_ACK, DATA_ACK_8, DSN_8, MAPPING
from plait.wire.mptcp.mp_capable import MpCapableData
from plait.wire.segment import ACK, FIN, RST, SYN, Segment
from plait.wire.seq import HALF32, MASK32, unwrap32, unwrap64, unwrap_low32
from plait.wire.tcp_options import WindowScale

MOST_SEGMENTS: Final = 200_000
"""Segments a host may send in a case; more are a storm."""

NO_SCALE: Final = -1
"""A SYN without the window scale option; a shift of 0 is one."""


@dataclass(slots=True)
class FlowWatch:
    """One subflow, or plain connection, as its octets leave the host."""

    iss: int
    scale: int = NO_SCALE
    """Shift that the host's SYN offers."""

    edge: Octets = 0
    """Right edge of the subflow's window as it reached the host, by subflow position."""

    acknowledged: int = -1
    """Last number in the ACK field, 32 bits."""

    octets: bytearray = field(default_factory=bytearray)
    """Everything the host ever sent on it, by subflow position."""

    mappings: list[tuple[Octets, Octets, int]] = field(default_factory=list)
    """Start and stop on the subflow, and how far ahead the stream is."""

    ahead: int = 0
    """Of the mapping declared last: what holds after fall-back."""


@dataclass(slots=True)
class StreamWatch:
    """One connection as it leaves the host."""

    edge: Octets = 0
    """Right edge of the peer's window, from the first octet of the stream."""

    stop: Octets = 0
    """End of what was sent."""

    data_ack: int = -1
    """Last Data ACK sent, its lower 32 bits."""

    told: int = -1
    """Right edge of the window that the host told, likewise."""


class Watch(Observer):
    """Judges one host.  Raises Violation out of the clock.

    Args:
        host: Whom to judge.
        parties: Applications by the port of their connection, the listener's.
    """

    def __init__(self, host: Host, parties: dict[int, Party]) -> None:
        self.segments = 0
        self._host = host
        self._parties = parties
        self._flows: dict[bytes, FlowWatch] = {}
        self._scales: dict[bytes, int] = {}
        """What the peer's SYNs offer, by the flow of what the host sends."""
        self._streams: dict[Connection, StreamWatch] = {}

    # ---- what reaches the host

    def on_received(self, now: Nanos, segment: Segment) -> None:
        """Learn the window, and what the peer's SYN says of it."""
        if segment.flags & RST:
            return
        flow = reverse_flow(segment.flow)
        if segment.flags & SYN:
            self._scales[flow] = _scale_of(segment)
        found = find_received(self._host, segment)
        watch = self._flows.get(flow)
        if found is None or watch is None:
            return
        connection, subflow = found
        window = segment.window
        if not segment.flags & SYN:
            window <<= _in_use(self._scales.get(flow, NO_SCALE), watch.scale)
        stream = self._streams.setdefault(connection, StreamWatch())
        below = unwrap32(segment.ack, watch.iss, len(watch.octets)) - 1
        if segment.flags & ACK and below <= len(watch.octets) + 1:
            watch.edge = max(watch.edge, below + window)
        dss = segment.dss
        if dss is not None and dss.flags & DATA_ACK:
            unwrap = unwrap64 if dss.flags & DATA_ACK_8 else unwrap_low32
            at = unwrap(dss.data_ack, connection.keys.local_idsn, stream.stop + 1) - 1
        elif subflow.first and segment.flags & ACK:
            at = below + watch.ahead
        else:
            return
        if at <= stream.stop + 1:
            stream.edge = max(stream.edge, at + window)

    # ---- what leaves it

    def on_sent(self, now: Nanos, segment: Segment) -> None:
        """Judge a segment."""
        self.segments += 1
        if self.segments > MOST_SEGMENTS:
            raise Violation("storm", now, f"more than {MOST_SEGMENTS} segments", _show(segment))
        if segment.flags & RST:
            return
        if segment.flags & SYN:
            self._on_syn(segment)
        watch = self._flows.get(segment.flow)
        if watch is None:
            raise Violation("handshake", now, "a segment leaves before a SYN", _show(segment))
        if segment.flags & ACK:
            self._check_ack(now, watch, segment)
        found = find_sent(self._host, segment)
        if found is None:
            return
        self._check_data(now, found[0], watch, segment)

    def _check_data(
        self, now: Nanos, connection: Connection, watch: FlowWatch, segment: Segment
    ) -> None:
        stream = self._streams.setdefault(connection, StreamWatch())
        if segment.dss is not None:
            self._check_dss(now, connection, stream, watch, segment)
        for option in segment.options:
            if isinstance(option, MpCapableData):
                _note(watch, (0, option.length, 0))
        if segment.length:
            self._check_payload(now, stream, watch, segment)

    def _on_syn(self, segment: Segment) -> None:
        watch = self._flows.get(segment.flow)
        if watch is None or watch.iss != segment.seq:
            watch = self._flows[segment.flow] = FlowWatch(segment.seq)
        watch.scale = _scale_of(segment)

    def _check_ack(self, now: Nanos, watch: FlowWatch, segment: Segment) -> None:
        if watch.acknowledged >= 0 and (segment.ack - watch.acknowledged) & MASK32 >= HALF32:
            back = (watch.acknowledged - segment.ack) & MASK32
            raise Violation("ack", now, f"a subflow ACK goes back by {back}", _show(segment))
        watch.acknowledged = segment.ack

    def _check_dss(
        self,
        now: Nanos,
        connection: Connection,
        stream: StreamWatch,
        watch: FlowWatch,
        segment: Segment,
    ) -> None:
        dss = segment.dss
        assert dss is not None
        if dss.flags & DATA_ACK:
            low = dss.data_ack & MASK32
            if stream.data_ack >= 0 and (low - stream.data_ack) & MASK32 >= HALF32:
                back = (stream.data_ack - low) & MASK32
                raise Violation("data_ack", now, f"DATA_ACK goes back by {back}", _show(segment))
            stream.data_ack = low
            scale = _in_use(watch.scale, self._scales.get(segment.flow, NO_SCALE))
            self._check_told(now, stream, low + (segment.window << scale) & MASK32, segment)
        if dss.flags & MAPPING and dss.length and dss.ssn:
            unwrap = unwrap64 if dss.flags & DSN_8 else unwrap_low32
            dsn = unwrap(dss.dsn, connection.keys.local_idsn, stream.stop + 1)
            ssn = unwrap32(dss.ssn, 0, len(watch.octets))
            _note(watch, (ssn - 1, ssn - 1 + dss.length, dsn - ssn))

    def _check_told(self, now: Nanos, stream: StreamWatch, edge: int, segment: Segment) -> None:
        """The right edge of the shared window never moves left (RFC 8684, 3.3.4)."""
        if stream.told >= 0 and (edge - stream.told) & MASK32 >= HALF32:
            back = (stream.told - edge) & MASK32
            raise Violation("edge", now, f"the window's edge goes back by {back}", _show(segment))
        stream.told = edge

    def _check_payload(
        self, now: Nanos, stream: StreamWatch, watch: FlowWatch, segment: Segment
    ) -> None:
        payload = b"".join(segment.payload)
        start = unwrap32(segment.seq, watch.iss, len(watch.octets)) - 1
        before = watch.octets[start : start + len(payload)]
        if start > len(watch.octets):
            raise Violation("octets", now, f"octets before {start} were left out", _show(segment))
        if before != payload[: len(before)]:
            raise Violation("octets", now, f"subflow octets at {start} changed", _show(segment))
        watch.octets += payload[len(before) :]
        at = start + _ahead(watch, start)
        party = self._party(segment)
        if party is not None and payload != expected(party.salt, at, len(payload)):
            raise Violation("dsn", now, f"other octets at {at} of the stream", _show(segment))
        stop = at + len(payload)
        stream.stop = max(stream.stop, stop)
        over = max(stop - stream.edge, start + len(payload) - watch.edge)
        if over > 0:
            raise Violation("window", now, f"{over} octets beyond the window", _show(segment))

    def _party(self, segment: Segment) -> Party | None:
        ports = int.from_bytes(segment.flow[-4:], "big")
        return self._parties.get(ports >> 16) or self._parties.get(ports & 0xFFFF)


def _note(watch: FlowWatch, mapping: tuple[Octets, Octets, int]) -> None:
    """Keep a mapping that leaves the host."""
    if not watch.mappings or watch.mappings[-1] != mapping:
        watch.mappings.append(mapping)
    watch.ahead = mapping[2]


def _ahead(watch: FlowWatch, position: Octets) -> int:
    """Return how far the stream is ahead of a subflow position."""
    for start, stop, ahead in reversed(watch.mappings):
        if start <= position < stop:
            return ahead
    return watch.ahead


def _scale_of(segment: Segment) -> int:
    scales = [option.shift for option in segment.options if isinstance(option, WindowScale)]
    return min(scales[0], 14) if scales else NO_SCALE


def _in_use(own: int, other: int) -> int:
    """Return the shift of a side's windows: its own if both offered one (RFC 7323, 2.2)."""
    return 0 if NO_SCALE in {own, other} else own


def _show(segment: Segment) -> str:
    """Return a segment on one line."""
    flags = "".join(
        letter
        for letter, bit in (("S", SYN), ("F", FIN), ("R", RST), (".", ACK))
        if segment.flags & bit
    )
    path = path_of_arrival(reverse_flow(segment.flow))
    text = (
        f"{path} [{flags}] seq {segment.seq} ack {segment.ack} win {segment.window} "
        f"length {segment.length}"
    )
    return text if segment.dss is None else f"{text} {segment.dss}"
