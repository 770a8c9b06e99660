"""Virtual time: what is to happen, in order of time and then of asking."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from plait.units import ENDLESS, Nanos

NEVER: Final[Nanos] = ENDLESS


class Clock:
    """The only clock of a simulation; things that happen at one time happen as they were asked for.

    Attributes:
        now: The present, in nanoseconds from the start of the simulation.
        events: How many things have happened.
    """

    def __init__(self) -> None:
        self.now: Nanos = 0
        self.events = 0
        self._heap: list[tuple[Nanos, int, Callable[[Any], None], Any]] = []
        self._soon: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._asked = 0

    def call_at(self, time: Nanos, handler: Callable[[Any], None], argument: Any = None) -> None:
        """Call `handler(argument)` at `time`, or at once if that has passed."""
        self._asked += 1
        heappush(self._heap, (max(time, self.now), self._asked, handler, argument))

    def call_soon(self, handler: Callable[[Any], None], argument: Any = None) -> None:
        """Call `handler(argument)` in the present, after all that is due now."""
        self._soon.append((handler, argument))

    def run(self, until: Nanos) -> None:
        """Let time pass up to and including `until`."""
        heap = self._heap
        soon = self._soon
        happened = 0
        while heap or soon:
            if soon and (not heap or heap[0][0] > self.now):
                handler, argument = soon.popleft()
            else:
                if heap[0][0] > until:
                    break
                self.now, _, handler, argument = heappop(heap)
            happened += 1
            handler(argument)
        self.events += happened
        self.now = max(self.now, until)


class Timer:
    """One deadline that moves often: moving it away or cancelling it costs no event."""

    def __init__(self, clock: Clock, handler: Callable[[], None]) -> None:
        self._clock = clock
        self._handler = handler
        self._deadline = NEVER
        self._pending = NEVER  # when the clock calls next

    def arm(self, at: Nanos) -> None:
        """Fire at `at`, and not when it was to fire before."""
        self._deadline = at
        if at < self._pending:
            self._pending = at
            self._clock.call_at(at, self._on_time, at)

    def cancel(self) -> None:
        """Do not fire."""
        self._deadline = NEVER

    def _on_time(self, at: Nanos) -> None:
        if at != self._pending:
            return  # armed for an earlier time since
        self._pending = NEVER
        if self._deadline <= self._clock.now:
            self._deadline = NEVER
            self._handler()
        elif self._deadline < NEVER:
            self.arm(self._deadline)
