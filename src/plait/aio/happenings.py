"""What happens to one connection of a stack, as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from plait.host.events import Event
from plait.units import Nanos

KEPT: Final = 64
"""Events that a connection keeps for those who ask later; the oldest go first."""

MAX_WAITING: Final = 4096
"""Events that wait for their reader; the oldest go first, counted in `missed`."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event and when it was delivered."""

    at: Nanos
    """Nanoseconds of the monotonic clock."""

    event: Event


class Happenings:
    """Events of one connection, those that are past first; it ends when the connection has.

    Attributes:
        missed: Happenings that were not read in time.
    """

    def __init__(self, past: Iterable[Happening], *, ended: bool) -> None:
        self.missed = 0
        self._waiting = deque(past)
        self._ended = ended
        self._news = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Happening:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def take(self) -> list[Happening]:
        """Return what waits, without waiting for more."""
        waiting, self._waiting = list(self._waiting), deque()
        return waiting

    def add(self, happening: Happening) -> None:
        """Let the reader have one more; the stack calls this."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.missed += 1
        self._waiting.append(happening)
        self._news.set()

    def end(self) -> None:
        """Let the reader finish after what waits; nothing more will come."""
        self._ended = True
        self._news.set()
