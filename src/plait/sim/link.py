"""One direction of a point-to-point link: a queue, a transmitter and a wire in one piece.

Queues that decide on arrival need no event of their own: since packets leave in order, the time a
packet will have been transmitted is known as soon as it is taken, and only its arrival at the far
end is an event.  Queues that decide when a packet's turn comes (`Queue.late`) cost a second one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from plait.errors import UsageError
from plait.sim.clock import Clock
from plait.sim.impairments import Impairment
from plait.sim.loss import Loss
from plait.sim.node import Node
from plait.sim.packet import Packet, marked, packet_octets, reparse
from plait.sim.queue import Queue, Verdict
from plait.sim.rate import Rate
from plait.units import Nanos, Octets


@dataclass(slots=True)
class LinkCounters:
    """What happened to packets; every packet sent ends in one of the others."""

    sent: int = 0
    delivered: int = 0
    octets: Octets = 0
    """Octets transmitted, headers counted."""

    overflowed: int = 0
    """Dropped by the queue."""

    lost: int = 0
    """Lost on the wire, or because the link was down."""

    too_big: int = 0
    """Larger than the MTU."""

    marked: int = 0
    """Told of congestion instead of being dropped; they count as delivered, too."""

    longest: Octets = 0
    """Most octets that waited or were in transmission."""


class Link:
    """Carries packets from `source` to port `port` of `target`.

    Attributes:
        delay: Propagation delay in nanoseconds, for packets sent from now on.
        loss: What is lost on the wire.
        rate: How fast packets sent from now on are transmitted.
        serialize: Turn each packet into octets and back, to prove that they hold all of it.
        talkative: Answer packets above the MTU with an ICMP error; a black hole does not.
        up: Packets pass; `set_up` changes it.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        *,
        rate: Rate | None = None,
        delay: Nanos = 0,
        mtu: Octets = 1500,
        queue: Queue | None = None,
        loss: Loss | None = None,
        impairments: Sequence[Impairment] = (),
    ) -> None:
        if delay < 0:
            raise UsageError(f"a delay is not {delay} ns")
        self.name = name
        self.rate = rate or Rate()
        self.delay = delay
        self.mtu = mtu
        self.loss = loss or Loss()
        self.serialize = False
        self.talkative = True
        self.up = True
        self.counters = LinkCounters()
        self.source: Node
        self.target: Node
        self.port = 0
        self._clock = clock
        self._queue = queue or Queue()
        self._impairments = tuple(impairments)
        self._idle_at: Nanos = 0
        self._leaving: deque[tuple[Nanos, Octets]] = deque()
        self._octets_there: Octets = 0
        self._wire: deque[tuple[Nanos, Packet]] = deque()
        self._cuts = 0
        self._waiting: deque[tuple[Nanos, Octets, Packet]] = deque()

    def send(self, packet: Packet) -> None:
        """Take a packet from `source` now."""
        counters = self.counters
        counters.sent += 1
        octets = packet_octets(packet)
        if octets > self.mtu:
            counters.too_big += 1
            if self.talkative:
                self.source.on_too_big(self._clock.now, packet, self)
            return
        if not self.up:
            counters.lost += 1
            return
        now = self._clock.now
        leaving = self._leaving
        there = self._octets_there
        while leaving and leaving[0][0] <= now:
            there -= leaving.popleft()[1]
        self._octets_there = there
        queue = self._queue
        if leaving or self._waiting:  # an idle link takes any packet
            verdict = queue.on_arrival(now, octets, len(leaving) + len(self._waiting), there)
            if verdict is not Verdict.PASS:
                heeded = self._heed(verdict, packet)
                if heeded is None:
                    return
                packet = heeded
        self._octets_there = there = there + octets
        counters.longest = max(counters.longest, there)
        if queue.late:
            self._waiting.append((now, octets, packet))
            if not leaving:
                self._begin(self._cuts)
        else:
            self._transmit(now, octets, packet)

    def queued(self) -> Octets:
        """Return the octets that wait or are in transmission."""
        now = self._clock.now
        while self._leaving and self._leaving[0][0] <= now:
            self._octets_there -= self._leaving.popleft()[1]
        return self._octets_there

    def transmitted(self) -> Octets:
        """Return the octets that have left the transmitter by now."""
        now = self._clock.now
        return self.counters.octets - sum(size for time, size in self._leaving if time > now)

    def set_up(self, up: bool) -> None:
        """Mend the link, or break it: what waits and what is on the wire is lost."""
        if self.up and not up:
            self.counters.lost += len(self._wire) + len(self._waiting)
            self._wire.clear()
            self._waiting.clear()
            self._leaving.clear()
            self._octets_there = 0
            self._idle_at = self._clock.now
            self._cuts += 1
        self.up = up

    def _heed(self, verdict: Verdict, packet: Packet) -> Packet | None:
        """Return what is left of a packet that the queue does not want to pass as it is."""
        copy = marked(packet) if verdict is Verdict.MARK else None
        if copy is None:
            self.counters.overflowed += 1
        else:
            self.counters.marked += 1
        return copy

    def _transmit(self, now: Nanos, octets: Octets, packet: Packet) -> None:
        """Give a packet its time on the transmitter, then on the wire."""
        start = self._idle_at
        if start < now:
            if self._queue.ages:
                self._queue.on_idle(now - start)
            start = now
        self._idle_at = leaves = self.rate.finish(start, octets)
        self._leaving.append((leaves, octets))
        self.counters.octets += octets
        if self.loss.lose():
            self.counters.lost += 1
            return
        if self.serialize:
            packet = reparse(packet)
        if self._impairments:
            self._impair(leaves + self.delay, packet)
        else:
            self._launch(leaves + self.delay, packet)

    def _impair(self, arrival: Nanos, packet: Packet) -> None:
        """Let every impairment have its way with what the one before it made."""
        arrivals = [(arrival, packet)]
        for impairment in self._impairments:
            arrivals = [made for time, there in arrivals for made in impairment.apply(time, there)]
        for time, there in arrivals:
            self._launch(time, there)

    def _launch(self, arrival: Nanos, packet: Packet) -> None:
        wire = self._wire
        if not wire:
            wire.append((arrival, packet))
            self._clock.call_at(arrival, self._on_arrival, self._cuts)
        elif arrival >= wire[-1][0]:
            wire.append((arrival, packet))
        else:
            self._clock.call_at(arrival, self._on_overtaking, (self._cuts, packet))

    def _on_arrival(self, cuts: int) -> None:
        """Deliver what arrives now; the first packet of the wire is due, unless there was a cut."""
        if cuts != self._cuts:
            return
        now = self._clock.now
        wire = self._wire
        target = self.target
        counters = self.counters
        while wire and wire[0][0] <= now:
            packet = wire.popleft()[1]
            counters.delivered += 1
            target.receive(now, packet, self.port)
        if wire and cuts == self._cuts:
            self._clock.call_at(wire[0][0], self._on_arrival, cuts)

    def _on_overtaking(self, item: tuple[int, Packet]) -> None:
        cuts, packet = item
        if cuts == self._cuts:
            self.counters.delivered += 1
            self.target.receive(self._clock.now, packet, self.port)
        else:
            self.counters.lost += 1

    def _begin(self, cuts: int) -> None:
        """Transmit the next packet that a late queue lets pass."""
        if cuts != self._cuts:
            return
        now = self._clock.now
        leaving = self._leaving
        while leaving and leaving[0][0] <= now:
            self._octets_there -= leaving.popleft()[1]
        if leaving:
            return  # a packet that came at this very time has begun already
        while self._waiting:
            entered, octets, packet = self._waiting.popleft()
            left = self._octets_there - octets
            verdict = self._queue.on_departure(now, now - entered, left)
            kept = packet if verdict is Verdict.PASS else self._heed(verdict, packet)
            if kept is None:
                self._octets_there = left
                continue
            self._transmit(now, octets, kept)
            self._clock.call_at(self._idle_at, self._begin, cuts)
            return
