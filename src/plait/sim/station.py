"""A host of the simulation: the real `plait.host.Host`, its interfaces and its applications."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.host.events import (
    Accepted,
    Closed,
    Established,
    Event,
    JoinFailed,
    LossReason,
    Lost,
    Readable,
    SubflowDown,
    SubflowUp,
    Writable,
)
from plait.host.host import Host
from plait.host.output import split
from plait.host.settings import Settings
from plait.sim.clock import Clock, Timer
from plait.sim.node import Node, RouteTable
from plait.sim.packet import Opaque, Packet, packet_destination, packet_source, too_big
from plait.units import Nanos
from plait.wire.icmp import IcmpError
from plait.wire.segment import Segment

if TYPE_CHECKING:
    from plait.sim.link import Link

BATCH: Final = 64
"""Segments asked of the host at a time."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Application:
    """What uses a connection; the station calls it, and it calls `station.host`.

    Attributes:
        station: Where it runs, once it has a connection.
        connection_id: Its connection.
        initiator: It connected; otherwise the connection came to it.
    """

    def __init__(self) -> None:
        self.station: Station
        self.connection_id = 0
        self.initiator = False

    def on_open(self, now: Nanos) -> None:
        """Data may be written."""

    def on_readable(self, now: Nanos) -> None:
        """Data, or the end of it, may be read."""

    def on_writable(self, now: Nanos) -> None:
        """There is room again."""

    def on_subflow(self, now: Nanos, event: SubflowUp | SubflowDown | JoinFailed) -> None:
        """A subflow came up, ended or did not come about."""

    def on_end(self, now: Nanos, reason: LossReason | None) -> None:
        """The connection is gone: cleanly, or for a reason."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Observer:
    """Sees every segment that leaves a host or reaches it; the base class looks away."""

    def on_sent(self, now: Nanos, segment: Segment) -> None:
        """A segment leaves, whether or not its address is up."""

    def on_received(self, now: Nanos, segment: Segment) -> None:
        """A segment is about to be handed to the host."""


class Station(Node):
    """A host with any number of addresses; packets leave by the interface of their source.

    Attributes:
        host: The stack.
        table: Routes that differ from this, if there are any.
        damaged: Packets that the host dropped for their checksum.
        errors: ICMP errors that arrived.
        unrouted: Packets from or to an address that is not up.
        sinks: What takes cross traffic, by flow.
        clock: The time.
        observer: Who is told of every segment, if anyone.
        coalesce: Nanoseconds that an arriving segment may wait for others, as in adapters that
            moderate interrupts.
    """

    def __init__(self, clock: Clock, name: str, settings: Settings, entropy: bytes) -> None:
        super().__init__(name)
        self.host = Host(settings, entropy)
        self.table = RouteTable()
        self.damaged = 0
        self.errors = 0
        self.unrouted = 0
        self.sinks: dict[bytes, Callable[[Opaque], None]] = {}
        self.clock = clock
        self.observer: Observer | None = None
        self.coalesce: Nanos = 0
        self._timer = Timer(clock, self._on_timer)
        self._interfaces: dict[bytes, Link] = {}
        self._present: dict[bytes, Link] = {}
        self._inbox: list[Segment] = []
        self._owed = False
        self._timer_due = False
        self._applications: dict[int, Application] = {}
        self._acceptors: dict[int, Callable[[], Application]] = {}

    # ---- the network

    def add_address(self, address: IpAddress, link: Link) -> None:
        """Own an address whose packets leave by `link`; it is not up yet."""
        self._interfaces[address.packed] = link

    def set_address(self, address: IpAddress, present: bool) -> None:
        """Bring up an address of this host, or take it down."""
        link = self._interfaces[address.packed]
        if present:
            self._present[address.packed] = link
        else:
            self._present.pop(address.packed, None)
        self.host.on_local_address(self.clock.now, address, present=present, mtu=link.mtu)
        self.owe()

    def interface(self, address: IpAddress) -> Link:
        """Return the link of an address.  Raises UsageError if it is not ours."""
        link = self._interfaces.get(address.packed)
        if link is None:
            raise UsageError(f"{address} is no address of {self.name}")
        return link

    def owns(self, address: bytes) -> bool:
        """Return whether a packed address is one of this host's, up or not."""
        return address in self._interfaces

    def receive(self, now: Nanos, packet: Packet, port: int) -> None:
        """Take a packet; all that arrive at one time are one batch."""
        if self.tap is not None:
            self.record(now, packet)
        if packet_destination(packet) not in self._present:
            self.unrouted += 1
        elif isinstance(packet, Segment):
            if self.observer is not None:
                self.observer.on_received(now, packet)
            self._inbox.append(packet)
            if not self.coalesce:
                self.owe()
            elif len(self._inbox) == 1:
                self.clock.call_at(now + self.coalesce, self._on_held)
        elif isinstance(packet, IcmpError):
            self._on_error(now, packet)
        elif packet.content:
            self.damaged += 1
            self.host.counters.in_csum_errors += 1
        else:
            sink = self.sinks.get(packet.flow)
            if sink is not None:
                sink(packet)

    def on_too_big(self, now: Nanos, packet: Packet, link: Link) -> None:
        """Tell our own host, as the system's network layer does."""
        if isinstance(packet, Segment):
            self._on_error(now, too_big(packet, link.mtu))

    def send(self, packet: Packet) -> None:
        """Let a packet leave by the interface of its source, unless a route says otherwise."""
        if self.tap is not None:
            self.record(self.clock.now, packet)
        if self.observer is not None and isinstance(packet, Segment):
            self.observer.on_sent(self.clock.now, packet)
        link = self._present.get(packet_source(packet))
        if link is None:
            self.unrouted += 1
        elif self.table.routes:
            self.way(packet).send(packet)
        else:
            link.send(packet)

    def way(self, packet: Packet) -> Link:
        """Return the link that a packet from one of our addresses leaves by."""
        link = self.table.find(packet) if self.table.routes else None
        return self._interfaces[packet_source(packet)] if link is None else link

    # ---- applications

    def connect(
        self,
        application: Application,
        remote: IpAddress,
        port: int,
        *,
        local: IpAddress | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Begin a connection for an application.  Raises UsageError where the host does."""
        application.station = self
        application.initiator = True
        application.connection_id = self.host.connect(
            self.clock.now, remote, port, local=local, settings=settings
        )
        self._applications[application.connection_id] = application
        self.owe()

    def listen(
        self, port: int, make: Callable[[], Application], settings: Settings | None = None
    ) -> None:
        """Give every connection that comes to `port` an application."""
        listener_id = self.host.listen(self.clock.now, port, settings=settings)
        self._acceptors[listener_id] = make

    def owe(self) -> None:
        """See to it that a turn follows what was asked of the host."""
        if not self._owed:
            self._owed = True
            self.clock.call_soon(self._turn)

    def _turn(self, _: None) -> None:
        """Take in what has arrived, let applications act, send all there is, arm the timer."""
        host = self.host
        now = self.clock.now
        if self._inbox:
            arrived = self._inbox
            self._inbox = []
            host.receive(now, arrived)
        if self._timer_due:
            self._timer_due = False
            host.handle_timeout(now)
        events = host.take_events()
        while True:
            for event in events:
                self._dispatch(now, event)
            batch = host.transmit(now, BATCH)
            for segment in batch:
                self._emit(segment)
            events = host.take_events()
            if not events and len(batch) < BATCH:
                break
        self._owed = False
        soonest = host.next_timeout()
        if soonest is not None:
            self._timer.arm(soonest)
        else:
            self._timer.cancel()

    def _on_held(self, _: None) -> None:
        self.owe()

    def _on_timer(self) -> None:
        self._timer_due = True
        self.owe()

    def _emit(self, segment: Segment) -> None:
        """Cut a super-segment into packets, as there is no offload in the simulation."""
        if 0 < segment.segment_size < segment.length:
            for piece in split(segment):
                self.send(piece)
        else:
            self.send(segment)

    def _on_error(self, now: Nanos, error: IcmpError) -> None:
        self.errors += 1
        self.host.on_icmp_error(now, error)
        self.owe()

    def _dispatch(self, now: Nanos, event: Event) -> None:
        """Tell the application of a connection what happened to it."""
        if isinstance(event, Accepted):
            application = self._acceptors[event.listener_id]()
            application.station = self
            application.connection_id = event.connection_id
            self._applications[event.connection_id] = application
            application.on_open(now)
            return
        application = self._applications[event.connection_id]
        if isinstance(event, Readable):
            application.on_readable(now)
        elif isinstance(event, Writable):
            application.on_writable(now)
        elif isinstance(event, Established):
            application.on_open(now)
        elif isinstance(event, SubflowUp | SubflowDown | JoinFailed):
            application.on_subflow(now, event)
        elif isinstance(event, Closed | Lost):
            del self._applications[event.connection_id]
            application.on_end(now, event.reason if isinstance(event, Lost) else None)
