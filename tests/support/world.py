"""Two hosts in virtual time, with a hook on every segment between them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Final, TypeAlias, TypeVar

from plait.addresses import IpAddress
from plait.drivers.base import Capabilities
from plait.drivers.memory import MemoryDriver, Station
from plait.host.events import Accepted, Closed, Established, Event, Lost, SubflowUp
from plait.host.host import Host
from plait.host.output import split
from plait.host.settings import Settings
from plait.mptcp.connection import Connection
from plait.units import MILLISECOND, SECOND, Nanos, Octets
from plait.wire.segment import Segment

PORT: Final = 80
NEAR: Final = (ip_address("10.0.1.1"), ip_address("10.0.2.1"))
FAR: Final = (ip_address("10.0.1.2"),)
DELAY: Final = 10 * MILLISECOND

_TURNS: Final = 200_000
"""More turns than any test needs: beyond lies a livelock."""

E = TypeVar("E", bound=Event)

Hook: TypeAlias = Callable[[Nanos, Segment], Iterable[tuple[Nanos, Segment]]]
"""Makes of a segment what arrives: extra delays and segments; nothing loses it."""


def pass_on(_now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
    """Let a segment arrive as it is."""
    return [(0, segment)]


class Line(MemoryDriver):
    """One end of the network: remembers and hands to a hook what its host sends.

    Attributes:
        sent: Every segment with the time it was sent, those that the hook loses counted.
        whole: Super-segments pass uncut.
    """

    def __init__(self, addresses: Sequence[IpAddress], mtu: Octets, *, whole: bool) -> None:
        capabilities = Capabilities(mtu=mtu, segmentation=True, checksum=True)
        super().__init__(capabilities, addresses)
        self.delay = DELAY
        self.whole = whole
        self.hook: Hook = pass_on
        self.sent: list[tuple[Nanos, Segment]] = []

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        for whole in segments:
            for segment in [whole] if self.whole else split(whole):
                self.sent.append((now, segment))
                if self.peer is not None:
                    for extra, piece in self.hook(now, segment):
                        self.peer.arrive(now + self.delay + extra, piece)

    def arrive(self, arrival: Nanos, segment: Segment) -> None:
        insort(self._arriving, (arrival, segment), key=_time)


def _time(item: tuple[Nanos, Segment]) -> Nanos:
    return item[0]


class End:
    """A host with an application that sends what it was given and reads what comes.

    Attributes:
        to_send: Octets still to be written.
        finish: Close once all is written.
        reading: Read whatever is there.
        received: What was read.
        events: All events with their times.
    """

    def __init__(self, settings: Settings, line: Line, seed: bytes) -> None:
        self.host = Host(settings, seed.ljust(32, b"."))
        self.line = line
        self.station = Station(self.host, [line])
        self.connection_id = 0
        self.open = False
        self.to_send = b""
        self.finish = True
        self.reading = True
        self.received = bytearray()
        self.ended = False
        self.events: list[tuple[Nanos, Event]] = []
        self._finished = False

    @property
    def connection(self) -> Connection:
        """The connection under test, looked at from inside."""
        return self.host._connections.by_id[self.connection_id].connection

    def heard(self, *kinds: type[E]) -> list[E]:
        """Return the events of these kinds, in order."""
        return [event for _, event in self.events if isinstance(event, kinds)]

    @property
    def empty(self) -> bool:
        """Whether the host has forgotten everything."""
        known = self.host._connections
        return not (known.by_id or known.by_flow or known.by_token or self.host.next_timeout())

    def serve(self, now: Nanos) -> bool:
        """Do what an application does after a turn; return whether it did anything."""
        events = self.host.take_events()
        for event in events:
            self.events.append((now, event))
            if isinstance(event, Established | Accepted):
                self.connection_id = event.connection_id
                self.open = True
            elif isinstance(event, Closed | Lost):
                self.open = False
        return (self.open and (self._write(now) | self._read(now))) or bool(events)

    def _write(self, now: Nanos) -> bool:
        if self.to_send:
            taken = self.host.write(now, self.connection_id, self.to_send)
            self.to_send = self.to_send[taken:]
            return taken > 0
        if self.finish and not self._finished:
            self._finished = True
            self.host.close(now, self.connection_id)
            return True
        return False

    def _read(self, now: Nanos) -> bool:
        if not self.reading or self.ended:
            return False
        data = self.host.read(now, self.connection_id, 1 << 20)
        self.ended = data == b""
        self.received += data or b""
        return data is not None


class World:
    """An initiator and a listener, joined by lines of equal delay."""

    def __init__(
        self,
        settings: Settings | None = None,
        listener_settings: Settings | None = None,
        *,
        near: Sequence[IpAddress] = NEAR,
        far: Sequence[IpAddress] = FAR,
        mtu: Octets = 1500,
        whole: bool = True,
        seeds: tuple[bytes, bytes] = (b"initiator", b"listener"),
    ) -> None:
        chosen = settings or Settings()
        self.now: Nanos = 0
        one, other = Line(near, mtu, whole=whole), Line(far, mtu, whole=whole)
        one.join(other)
        self.initiator = End(chosen, one, seeds[0])
        self.listener = End(listener_settings or chosen, other, seeds[1])
        self.ends = (self.initiator, self.listener)
        self.far = far
        self.listener.host.listen(0, PORT)

    def connect(self) -> None:
        """Begin the connection."""
        host = self.initiator.host
        self.initiator.connection_id = host.connect(self.now, self.far[0], PORT)

    def run(self, span: Nanos = 10 * SECOND) -> None:
        """Let `span` pass, or less if nothing can happen any more."""
        until = self.now + span
        for _ in range(_TURNS):
            if self._turn():
                continue
            due = [time for end in self.ends if (time := end.station.next_timeout()) is not None]
            if not due or min(due) > until:
                self.now = until
                return
            self.now = max(self.now, min(due))
        raise AssertionError("the hosts never come to rest")

    def _turn(self) -> bool:
        for end in self.ends:
            end.station.step(self.now)
        acted = [end.serve(self.now) for end in self.ends]
        return any(acted)

    def start(self, *, subflows: int = 2) -> None:
        """Connect and let the subflows come up, then leave the application silent."""
        for end in self.ends:
            end.finish = False
        self.connect()
        self.run(SECOND)
        for end in self.ends:
            assert len(end.heard(SubflowUp)) == subflows

    def transfer(self, data: bytes, *, back: bytes = b"", span: Nanos = 600 * SECOND) -> None:
        """Connect, send both streams, close; both must arrive octet for octet."""
        self.initiator.to_send = data
        self.listener.to_send = back
        self.connect()
        self.run(span)
        assert bytes(self.listener.received) == data
        assert bytes(self.initiator.received) == back
        assert not self.initiator.heard(Lost)
        assert not self.listener.heard(Lost)


def mapped(end: End) -> list[Segment]:
    """Return the segments with payload that a host sent."""
    return [segment for _, segment in end.line.sent if segment.length]
