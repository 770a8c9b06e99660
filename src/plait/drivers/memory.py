"""Two hosts in one process: endpoints joined back to back by queues of segments."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Self

from plait.addresses import IpAddress
from plait.drivers.base import NO_DESCRIPTOR, Capabilities, Driver
from plait.drivers.routing import Routes
from plait.host.host import Host
from plait.units import Nanos, Octets
from plait.wire.segment import Segment

MTU: Final[Octets] = 1500


class MemoryDriver(Driver):
    """One end of a pair; what it writes arrives at `peer` after `delay`, in order.

    Attributes:
        peer: The other end; None before `join` and after `close`.
        delay: One-way delay of what this end writes, in nanoseconds.
        lose: Asked for every segment written; True loses it.
    """

    def __init__(self, capabilities: Capabilities, addresses: Sequence[IpAddress]) -> None:
        super().__init__(capabilities, addresses)
        self.delay: Nanos = 0
        self.lose: Callable[[Segment], bool] | None = None
        self.peer: Self | None = None
        self._arriving: deque[tuple[Nanos, Segment]] = deque()
        self._event = NO_DESCRIPTOR

    def join(self, peer: Self) -> None:
        """Connect the two ends."""
        self.peer = peer
        peer.peer = self

    def fileno(self) -> int:
        """Return an eventfd that the peer's writing makes readable."""
        if self._event == NO_DESCRIPTOR:
            self._event = os.eventfd(len(self._arriving), os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self._event

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Return the segments whose delay has passed."""
        if self._event != NO_DESCRIPTOR:
            self._clear_event()
        arriving = self._arriving
        ready: list[Segment] = []
        while arriving and len(ready) < limit and arriving[0][0] <= now:
            ready.append(arriving.popleft()[1])
        return ready

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Send the segments on their way to the peer; a closed peer loses them."""
        if self.peer is None:
            self.counters.dropped += len(segments)
            return
        lose = self.lose
        arrival = now + self.delay
        for segment in segments:
            if lose is not None and lose(segment):
                self.counters.dropped += 1
            else:
                self.peer.arrive(arrival, segment)

    def next_timeout(self) -> Nanos | None:
        """Return when the next segment arrives."""
        return self._arriving[0][0] if self._arriving else None

    def close(self) -> None:
        """Part the two ends; segments on their way are lost."""
        if self.peer is not None:
            self.peer.peer = None
            self.peer = None
        self._arriving.clear()
        if self._event != NO_DESCRIPTOR:
            os.close(self._event)
            self._event = NO_DESCRIPTOR

    def arrive(self, arrival: Nanos, segment: Segment) -> None:
        """Take a segment from the peer; `read_burst` returns it once `arrival` has come."""
        self._arriving.append((arrival, segment))
        if self._event != NO_DESCRIPTOR and len(self._arriving) == 1:
            os.eventfd_write(self._event, 1)

    def _clear_event(self) -> None:
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return  # read for a timeout, or for segments written before there was a descriptor


def pair(
    here: Sequence[IpAddress],
    there: Sequence[IpAddress],
    *,
    delay: Nanos = 0,
    mtu: Octets = MTU,
    segmentation: bool = True,
) -> tuple[MemoryDriver, MemoryDriver]:
    """Return two joined endpoints that serve the addresses `here` and `there`.

    Args:
        delay: One-way delay in nanoseconds, the same in both directions.
        mtu: Octets of the largest packet.
        segmentation: Whether super-segments pass whole.
    """
    capabilities = Capabilities(mtu=mtu, segmentation=segmentation, checksum=True)
    one = MemoryDriver(capabilities, here)
    other = MemoryDriver(capabilities, there)
    one.delay = other.delay = delay
    one.join(other)
    return one, other


class Station:
    """A host and its drivers, pumped by hand in virtual time."""

    def __init__(self, host: Host, drivers: Sequence[Driver], now: Nanos = 0) -> None:
        self.host = host
        self.drivers = tuple(drivers)
        self._routes = Routes(drivers)
        for driver in drivers:
            for address in driver.addresses:
                host.on_local_address(now, address, present=True, mtu=driver.capabilities.mtu)

    def next_timeout(self) -> Nanos | None:
        """Return when the host or one of the drivers is due."""
        times = [self.host.next_timeout(), *(driver.next_timeout() for driver in self.drivers)]
        return min((time for time in times if time is not None), default=None)

    def step(self, now: Nanos) -> None:
        """Take in what has arrived, serve timers, send what there is."""
        host = self.host
        for driver in self.drivers:
            while arrived := driver.read_burst(now, driver.capabilities.burst):
                self._routes.learn(driver, arrived)
                host.receive(now, arrived)
            for error in driver.take_errors():
                host.on_icmp_error(now, error)
        due = host.next_timeout()
        if due is not None and due <= now:
            host.handle_timeout(now)
        while batch := host.transmit(now):
            self._routes.send(now, batch)


def exchange(now: Nanos, *stations: Station, until: Nanos) -> Nanos:
    """Pump stations in virtual time until nothing is due before `until`.

    Returns the time of the last thing that happened.  Same hosts, same calls, same outcome.
    """
    for station in stations:
        station.step(now)
    while True:
        due = [time for station in stations if (time := station.next_timeout()) is not None]
        if not due or min(due) > until:
            return now
        now = max(now, min(due))
        for station in stations:
            station.step(now)
