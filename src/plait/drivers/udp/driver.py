"""The UDP driver: peers that share a secret are the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from plait.addresses import V4_FLOW, IpAddress
from plait.drivers.base import Capabilities, Driver, Interface, network_namespace
from plait.drivers.interfaces import LEAST_MTU, too_big
from plait.drivers.udp.channel import Arrival, Channel, OuterError
from plait.drivers.udp.format import ID_OCTETS, OVERHEAD, is_control
from plait.drivers.udp.initiating import NEVER
from plait.drivers.udp.session import Notice, Session, UdpCounters
from plait.drivers.udp.sessions import Sessions
from plait.drivers.udp.spec import UdpSpec
from plait.drivers.udp.trains import Joiner, trains
from plait.errors import DecodeError
from plait.units import Nanos
from plait.wire.icmp import IcmpError
from plait.wire.segment import Segment
from plait.wire.tcp import parse_tcp

_ECN: Final = 3
"""The ECN field of a type of service (RFC 3168, 5)."""

_READS: Final = 64
_READS_OF_RUNS: Final = 8
"""Reads in one turn, of datagrams and of runs of up to 64 KB: acknowledgments follow each turn."""

_QUOTED_OCTETS: Final = ID_OCTETS + 8
"""An error has to quote the session's id, ports and sequence number to be believed."""


class Udp(Driver):
    """A UDP socket, opened as `spec` says; raises UsageError when it cannot be.

    Attributes:
        counters: What became of datagrams and sessions.
        outer: Address and port that the socket is bound to.
    """

    counters: UdpCounters

    def __init__(self, spec: UdpSpec) -> None:
        self._channel = Channel(spec)
        capabilities = Capabilities(
            mtu=self._channel.mtu - OVERHEAD,
            segmentation=True,
            checksum=True,
            burst=_READS_OF_RUNS if self._channel.joins else _READS,
        )
        super().__init__(capabilities, (spec.local,))
        self.counters = UdpCounters()
        self.outer = self._channel.outer
        if self._channel.interface is not None:
            self.interface = Interface(self._channel.interface, network_namespace())
        self._sessions = Sessions(
            spec.local,
            spec.secret,
            os.urandom,
            self.counters,
            port=spec.remote_port,
            interval=spec.keep_alive,
        )
        self._joiner = Joiner()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._channel.fileno()

    def read_burst(self, now: Nanos, limit: int = _READS) -> list[Segment]:
        """Read up to `limit` times, and serve the timers of sessions."""
        if now >= self._sessions.due:
            self._sessions.on_timer(now)
        segments: list[Segment] = []
        for _ in range(limit):
            try:
                arrival = self._channel.receive()
            except OSError:  # what an ICMP error is told by
                self._take_outer_errors()
                continue
            if arrival is None:
                if not segments:  # woken for an error that a write was told of
                    self._take_outer_errors()
                break
            self._take(now, arrival, segments)
        self._joiner.finish()
        self._flush()
        return segments

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Send the segments that have a session; open those that SYNs ask for."""
        for segment in segments:
            flow = segment.flow
            remote = flow[4:8] if len(flow) == V4_FLOW else flow[16:32]
            session = self._sessions.towards(now, segment, remote)
            if session is not None:
                self._send(session, segment)
        self._flush()

    def next_timeout(self) -> Nanos | None:
        """Return when a session is due, at once if there are errors to take."""
        if self._errors:
            return 0
        due = self._sessions.due
        return None if due == NEVER else due

    def pending(self) -> bool:
        """Return False: the SYNs that wait for a peer to answer are not worth waiting for."""
        return False

    def take_notices(self) -> list[Notice]:
        """Return and forget what happened to sessions."""
        notices = self._sessions.table.notices
        taken = list(notices)
        notices.clear()
        return taken

    def silent_peers(self) -> list[IpAddress]:
        """Return whom we called and never heard."""
        sessions = self._sessions.table.sessions()
        return [session.remote for session in sessions if not session.remote_id]

    def close(self) -> None:
        """Tell the peers, and close the socket."""
        if self._channel.fileno() < 0:
            return
        self._sessions.close()
        self._flush()
        self._channel.close()

    def _take(self, now: Nanos, arrival: Arrival, segments: list[Segment]) -> None:
        """Take what one read returned."""
        octets, size = arrival.octets, arrival.size
        mark = (arrival.outer, arrival.tos)
        total = len(octets)
        at = 0
        if not total:
            self.counters.unknown += 1
        while at < total:
            joined = self._joiner.extend(octets, at, size, mark)
            if joined > at:
                at = joined
                continue
            stop = min(at + size, total)
            segment = self._one(now, arrival, at, stop)
            if segment is not None:
                segment.ecn = arrival.tos & _ECN  # RFC 6040: there is no header inside
                segments.append(segment)
                self._joiner.begin(octets, at, segment, mark)
            at = stop

    def _one(self, now: Nanos, arrival: Arrival, at: int, stop: int) -> Segment | None:
        """Take one datagram; return the segment in it, if it is of a session."""
        octets = arrival.octets
        if is_control(octets[at : at + ID_OCTETS]):
            for segment in self._sessions.on_control(now, octets[at:stop], arrival.outer):
                self.write_burst(now, (segment,))
            return None
        session = self._sessions.arrived(now, octets, at, stop, arrival.outer)
        if session is None:
            return None
        ports = octets[at + ID_OCTETS : at + ID_OCTETS + 4]
        try:
            return parse_tcp(session.arriving + ports, octets, at + ID_OCTETS, stop)
        except DecodeError:
            self.counters.malformed += 1
            return None

    def _send(self, session: Session, segment: Segment) -> None:
        """Send a segment; what the kernel does not take is lost."""
        tos = segment.marking.tos | segment.ecn
        for octets, size in trains(session.remote_id, segment, self._channel.most):
            for _ in range(2):
                try:
                    self._channel.send(octets, size, tos, session.outer)
                except BlockingIOError:
                    self.counters.dropped += 1
                except OSError as error:
                    if self._channel.stop_cutting(error, size):
                        self._send(session, segment)
                        return
                    if self._channel.is_too_big(error, size):
                        self._on_too_big(segment)
                    elif self._take_outer_errors():
                        continue  # it told of an earlier datagram, and this one has not left
                    self.counters.dropped += 1
                break

    def _flush(self) -> None:
        """Send the messages that wait."""
        table = self._sessions.table
        while table.outbox:
            outbox, table.outbox = table.outbox, []
            for octets, outer in outbox:
                try:
                    self._channel.send(octets, 0, 0, outer)
                except OSError:
                    self._take_outer_errors()

    def _on_too_big(self, segment: Segment) -> None:
        """Tell the stack that a segment does not fit the interface (any more)."""
        infos = [error.info for error in self._channel.take_errors() if error.local]
        known = max(infos, default=0) or self._channel.interface_mtu()
        self._errors.append(too_big(segment, (known or LEAST_MTU) - OVERHEAD))

    def _take_outer_errors(self) -> bool:
        """Take the errors that the kernel holds; return whether there were any."""
        errors = self._channel.take_errors()
        for error in errors:
            if not error.local and len(error.quoted) >= _QUOTED_OCTETS:
                self._take_outer_error(error)
        return bool(errors)

    def _take_outer_error(self, error: OuterError) -> None:
        """Turn an error about a datagram into one about the segment inside."""
        session = self._sessions.quoted(error.quoted, error.outer)
        if session is None:
            self.counters.unknown += 1
            return
        local, remote = self.addresses[0].packed, session.remote.packed
        if is_control(error.quoted):
            quoted = [(one.flow, one.seq) for one in session.held]
            self._sessions.on_unreachable(session)
        else:
            ports = error.quoted[ID_OCTETS : ID_OCTETS + 4]
            seq = int.from_bytes(error.quoted[ID_OCTETS + 4 : _QUOTED_OCTETS], "big")
            quoted = [(local + remote + ports, seq)]
        for flow, seq in quoted:
            self._errors.append(
                IcmpError(
                    version=4 if len(flow) == V4_FLOW else 6,
                    type=error.type,
                    code=error.code,
                    mtu=max(error.info - OVERHEAD, 0),
                    flow=flow,
                    seq=seq,
                )
            )
