"""The pump: one host and its drivers on an asyncio loop.

It reads the clock once a turn, reads bursts, and arms one timer, moved only when a deadline comes
nearer: canceling and arming costs more than handling a segment.  A deadline that moved away fires
early, finds nothing due and arms the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from plait.drivers import heap
from plait.drivers.base import Driver
from plait.drivers.routing import Routes
from plait.host.events import Event
from plait.host.host import Host
from plait.units import SECOND, Nanos

NEVER: Final[Nanos] = 1 << 63
"""Later than every deadline."""

_ROUNDS: Final = 8
"""Times that one turn answers what its own events made the application do."""


class Pump:
    """Moves segments between drivers and host, serves timers, hands out events.

    Args:
        loop: The loop everything runs on.
        host: The host; whoever calls its methods calls `owe` afterwards.
        drivers: One for each network; their addresses become the host's.
        deliver: Takes the events of a turn; what it calls may call `owe`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: Host,
        drivers: Sequence[Driver],
        deliver: Callable[[list[Event]], None],
    ) -> None:
        self.host = host
        self._loop = loop
        self._drivers = list(drivers)
        self._routes = Routes(drivers)
        self._deliver = deliver
        self._timer: asyncio.TimerHandle | None = None
        self._armed: Nanos = NEVER
        self._owed = False
        self._scheduled = False
        self._turning = False
        self._stopped = False

    @staticmethod
    def now() -> Nanos:
        """Return the host's time: nanoseconds of the monotonic clock."""
        return time.monotonic_ns()

    def start(self) -> None:
        """Announce the drivers' addresses to the host and listen to their descriptors."""
        heap.keep_freed()
        now = self.now()
        for driver in self._drivers:
            for address in driver.addresses:
                mtu = driver.capabilities.mtu
                self.host.on_local_address(now, address, present=True, mtu=mtu)
            descriptor = driver.fileno()
            if descriptor >= 0:
                self._loop.add_reader(descriptor, self._on_readable, driver)
        self.owe()

    def stop(self) -> None:
        """Leave the loop; the drivers stay open."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for driver in self._drivers:
            self._leave(driver)

    def owe(self) -> None:
        """See to it that a turn follows what was just asked of the host."""
        if self._owed or self._stopped:
            return
        self._owed = True
        if not self._turning:
            self._schedule()

    def turn(self, now: Nanos) -> None:
        """Send all there is, deliver events, arm the timer if a deadline moved nearer."""
        self._turning = True
        try:
            for _ in range(_ROUNDS):
                self._owed = False
                while batch := self.host.transmit(now):
                    self._routes.send(now, batch)
                events = self.host.take_events()
                if events:
                    self._deliver(events)
                if not self._owed:
                    break
        finally:
            self._turning = False
        if self._owed:
            self._schedule()
        self._arm(now)

    def pending(self) -> bool:
        """Return whether a driver still holds segments back."""
        return any(driver.pending() for driver in self._drivers)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._on_owed)

    def _on_owed(self) -> None:
        self._scheduled = False
        if self._owed and not self._stopped:
            self.turn(self.now())

    def _on_readable(self, driver: Driver) -> None:
        """Take in one burst; the loop calls again at once while more waits."""
        now = self.now()
        self._read(driver, now)
        self.turn(now)

    def _on_timer(self) -> None:
        self._timer = None
        self._armed = NEVER
        now = self.now()
        for driver in tuple(self._drivers):
            due = driver.next_timeout()
            if due is not None and due <= now:
                self._read(driver, now)
        due = self.host.next_timeout()
        if due is not None and due <= now:
            self.host.handle_timeout(now)
        self.turn(now)

    def _read(self, driver: Driver, now: Nanos) -> None:
        try:
            segments = driver.read_burst(now, driver.capabilities.burst)
        except OSError:
            self._lose(driver, now)
            return
        if segments:
            self._routes.learn(driver, segments)
            self.host.receive(now, segments)
        for error in driver.take_errors():
            self.host.on_icmp_error(now, error)

    def _lose(self, driver: Driver, now: Nanos) -> None:
        """Go on without a driver whose network is gone for good."""
        self._leave(driver)
        self._drivers.remove(driver)
        self._routes.remove(driver)
        for address in driver.addresses:
            self.host.on_local_address(now, address, present=False)
        if not self._drivers:
            self.host.on_deserted(now)

    def _leave(self, driver: Driver) -> None:
        descriptor = driver.fileno()
        if descriptor >= 0:
            self._loop.remove_reader(descriptor)

    def _arm(self, now: Nanos) -> None:
        soonest = self.host.next_timeout()
        for driver in self._drivers:
            due = driver.next_timeout()
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        if soonest is None or soonest >= self._armed or self._stopped:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = soonest
        self._timer = self._loop.call_later(max(0, soonest - now) / SECOND, self._on_timer)
