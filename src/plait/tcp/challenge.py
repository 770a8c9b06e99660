"""Rationing of challenge ACKs (RFC 5961, 7).

Each connection has a ration of its own.  One that all connections of a host share can be emptied by
whoever has a connection with it, and so tells him whether another connection sent a challenge
(CVE-2016-5696).  The next moment an answer is given is drawn anew each time, so that not even the
phase of a connection's ration can be learned.
"""

from __future__ import annotations

from typing import Final

from plait.units import Nanos

_MULTIPLIER: Final = 0x5851_F42D_4C95_7F2D
_MASK64: Final = (1 << 64) - 1


class Challenges:
    """When one connection may answer a segment that should not be there."""

    __slots__ = ("_gap", "_next", "_state")

    def __init__(self, gap: Nanos, seed: int) -> None:
        """Begin with an answer allowed.

        Args:
            gap: Least time between two answers; up to half of it is added at random.
            seed: What only this host and its peer know, such as the ISS.
        """
        self._gap = gap
        self._next: Nanos = 0
        self._state = seed

    def take(self, now: Nanos) -> bool:
        """Return whether to answer now, and count it."""
        if now < self._next:
            return False
        self._state = (self._state * _MULTIPLIER + 1) & _MASK64
        self._next = now + self._gap + ((self._state >> 32) * (self._gap // 2) >> 32)
        return True
