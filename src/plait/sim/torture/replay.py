"""A host alone, fed with segments of a recorded session: mutated, repeated, reordered, cut.

The session is recorded from a case, or read from a capture.  The host has the same entropy as the
one that lived through it, so that keys and sequence numbers fit and mutations reach deep.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from plait.addresses import path_of_arrival
from plait.errors import DecodeError, UsageError
from plait.host.events import Accepted, Readable
from plait.host.host import Host
from plait.host.settings import Settings
from plait.sim.packet import copy_segment, serialize
from plait.sim.seed import Seed
from plait.sim.station import Observer
from plait.sim.torture.case import LISTENER, Case
from plait.sim.torture.holdings import connections_of, held, most, residue
from plait.sim.torture.rig import FIRST_PORT, Rig, Verdict
from plait.sim.torture.violation import Violation
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.mptcp.dss import DATA_ACK_8, DSN_8, Dss
from plait.wire.packet import parse_packet
from plait.wire.segment import ACK, FIN, PSH, RST, SYN, Segment
from plait.wire.seq import MASK32, MASK64

MOST_SEGMENTS: Final = 600
"""Of a session that are replayed."""

HANDSHAKE: Final = 3
"""Segments that mostly stay as they were, so that there is a connection to torture."""

_ROUNDS: Final = 3000
"""Turns until a host that is left alone must have nothing left."""

_DATA: Final = bytes(range(256)) * 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What reached a host."""

    settings: Settings
    entropy: bytes
    arrivals: tuple[tuple[Nanos, Segment], ...]


class Recording(Observer):
    """Keeps what reaches a host."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[Nanos, Segment]] = []

    def on_received(self, now: Nanos, segment: Segment) -> None:
        """Keep a segment."""
        if len(self.arrivals) < MOST_SEGMENTS:
            self.arrivals.append((now, segment))


def record(case: Case) -> Session:
    """Return what reaches the listener of a case."""
    rig = Rig(replace(case, faults=tuple(one for one in case.faults if one.kind != "wrap")))
    rig.listener.observer = recording = Recording()
    rig.run()
    return Session(
        settings=rig.world.settings[LISTENER],
        entropy=rig.world.seed.octets(f"host/{LISTENER}"),
        arrivals=tuple(recording.arrivals),
    )


def replay(session: Session, seed: int) -> Verdict:
    """Feed a host with a mutated session and return the verdict."""
    lone = _Lone(session)
    try:
        for now, segments in _mutated(session.arrivals, Seed(seed).random("replay")):
            lone.feed(now, segments)
        lone.leave()
    except Violation as broken:
        at_s, text = lone.now / SECOND, broken.text
        return Verdict(seed=seed, passed=False, invariant=broken.invariant, text=text, at_s=at_s)
    except Exception as error:  # noqa: BLE001 - nothing may raise: that is what is tested
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        at_s = lone.now / SECOND
        return Verdict(seed=seed, passed=False, invariant="raise", text=text, at_s=at_s)
    return Verdict(seed=seed, passed=True, at_s=lone.now / SECOND, segments=lone.fed)


class _Lone:
    """The host and an application that writes a little, reads all and closes when the peer does."""

    def __init__(self, session: Session) -> None:
        self.host = Host(session.settings, session.entropy)
        self.now: Nanos = 0
        self.fed = 0
        flows = {segment.flow for _, segment in session.arrivals}
        paths = [path_of_arrival(flow) for flow in sorted(flows)]
        for local in sorted({path.local for path in paths}, key=int):
            self.host.on_local_address(0, local, present=True)
        for port in sorted({path.local_port for path in paths} | {FIRST_PORT}):
            self.host.listen(0, port)

    def feed(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Let time pass and segments arrive."""
        self.pass_time(now)
        self.host.receive(now, segments)
        self.fed += len(segments)
        self.turn()
        for entry in connections_of(self.host).by_id.values():
            if held(entry.connection) > most(entry.connection):
                raise Violation("memory", now, f"{held(entry.connection)} octets are held")

    def pass_time(self, until: Nanos) -> None:
        """Let timers fire up to a time."""
        for _ in range(_ROUNDS):
            soonest = self.host.next_timeout()
            if soonest is None or soonest > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, soonest)
            self.host.handle_timeout(self.now)
            self.turn()
        raise Violation("storm", self.now, f"{_ROUNDS} timers were not enough")

    def turn(self) -> None:
        """Do what a driver does after each call."""
        for _ in range(_ROUNDS):
            events = self.host.take_events()
            for event in events:
                if isinstance(event, Accepted):
                    self._use(lambda at: self.host.write(self.now, at, _DATA), event.connection_id)
                elif isinstance(event, Readable):
                    self._use(self._read, event.connection_id)
            if not self.host.transmit(self.now) and not events:
                return
        raise Violation("storm", self.now, "transmit never ends")

    def leave(self) -> None:
        """Abort what is left, let time pass, and look for remains."""
        for connection_id in list(connections_of(self.host).by_id):
            self._use(lambda at: self.host.abort(self.now, at), connection_id)
        self.turn()
        self.pass_time(self.now + 3600 * SECOND)
        left = residue(self.host)
        if left:
            raise Violation("residue", self.now, left)

    def _read(self, connection_id: int) -> None:
        self.host.read(self.now, connection_id, 1 << 24)
        if self.host.at_end(connection_id):
            self.host.close(self.now, connection_id)

    @staticmethod
    def _use(call: Callable[[int], object], connection_id: int) -> None:
        """Use a connection that may have ended before its event was delivered."""
        try:
            call(connection_id)
        except UsageError:
            return


# ---- mutations


def _mutated(
    arrivals: Sequence[tuple[Nanos, Segment]], draw: Random
) -> list[tuple[Nanos, list[Segment]]]:
    """Return batches in order of time, some of whose segments are not what they were."""
    rate = draw.choice((0.02, 0.1, 0.3))
    out: list[tuple[Nanos, Segment]] = []
    for number, (at, segment) in enumerate(arrivals):
        if number < HANDSHAKE and draw.random() < 0.8:
            out.append((at, segment))
            continue
        if draw.random() < rate / 2:
            if draw.random() < 0.8:  # late, or lost: nobody sends it again
                out.append((at + draw.randrange(200) * MILLISECOND, segment))
            continue
        out.append((at, _mutate(segment, draw) if draw.random() < rate else segment))
        while out and draw.random() < rate:
            old = draw.choice(out)[1]
            late = at + draw.randrange(200) * MILLISECOND
            out.append((late, _mutate(old, draw) if draw.random() < 0.5 else old))
    out.sort(key=lambda arrival: arrival[0])
    batches: list[tuple[Nanos, list[Segment]]] = []
    for at, segment in out:
        if batches and (batches[-1][0] == at or draw.random() < rate):
            batches[-1][1].append(segment)
        else:
            batches.append((at, [segment]))
    return batches


def _mutate(segment: Segment, draw: Random) -> Segment:
    """Return a segment that differs a little, or a lot."""
    return draw.choice((_flip, _flip, _fields, _fields, _options, _dss, _cut))(segment, draw)


def _flip(segment: Segment, draw: Random) -> Segment:
    """Return what is left after some bits changed on the wire, addresses and ports spared."""
    octets = bytearray(serialize(segment))
    first = (20 if octets[0] >> 4 == 4 else 40) + 4
    for _ in range(draw.choice((1, 1, 2, 8))):
        octets[draw.randrange(first, len(octets))] ^= 1 << draw.randrange(8)
    return _parsed(bytes(octets), segment)


def _cut(segment: Segment, draw: Random) -> Segment:
    """Return a packet that ends early, with a length that says so."""
    octets = bytearray(serialize(segment))
    del octets[draw.randrange(20, len(octets)) :]
    if octets[0] >> 4 == 4:
        octets[2:4] = len(octets).to_bytes(2, "big")
    return _parsed(bytes(octets), segment)


def _parsed(octets: bytes, fallback: Segment) -> Segment:
    try:
        packet = parse_packet(octets, checksum_valid=True)
    except DecodeError:
        return fallback
    return packet if isinstance(packet, Segment) else fallback


def _fields(segment: Segment, draw: Random) -> Segment:
    """Return a segment with another number in one field."""
    twin = copy_segment(segment)
    shift = draw.choice((-70_000, -1, 1, 1460, 1 << 16, 1 << 31, draw.randrange(1 << 32)))
    match draw.randrange(7):
        case 0:
            twin.seq = (twin.seq + shift) & MASK32
        case 1:
            twin.ack = (twin.ack + shift) & MASK32
        case 2:
            twin.flags = draw.choice((0, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, PSH, 0xFF))
        case 3:
            twin.window = draw.choice((0, 1, 65535))
        case 4:
            twin.ts_val = draw.randrange(1 << 32)
        case 5:
            left = (twin.ack + shift) & MASK32
            twin.sack = ((left, (left + draw.randrange(1 << 16)) & MASK32),)
        case _:
            twin.ts_ecr = (twin.ts_ecr + shift) & MASK32
    return twin


def _options(segment: Segment, draw: Random) -> Segment:
    """Return a segment with fewer options, more, or none."""
    twin = copy_segment(segment)
    if draw.random() < 0.5:
        twin.options = ()
    else:
        twin.options *= 2
    if draw.random() < 0.5:
        twin.dss = None
    return twin


def _dss(segment: Segment, draw: Random) -> Segment:
    """Return a segment whose DSS says something else."""
    dss = segment.dss
    if dss is None:
        return _fields(segment, draw)
    twin = copy_segment(segment)
    shift = draw.choice((-100_000, -1, 1, 1460, 1 << 16, 1 << 31, draw.randrange(1 << 63)))
    values = [dss.flags, dss.data_ack, dss.dsn, dss.ssn, dss.length, dss.checksum]
    at = draw.randrange(len(values))
    values[at] += shift
    values[0] &= 0x1F
    values[1] &= MASK64 if values[0] & DATA_ACK_8 else MASK32
    values[2] &= MASK64 if values[0] & DSN_8 else MASK32
    values[3] &= MASK32
    values[4] &= 0xFFFF
    values[5] &= 0xFFFF
    twin.dss = Dss(*values)
    return twin
