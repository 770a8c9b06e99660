"""Answers to segments that should not be there, and their rationing (RFC 5961, 7).

Each connection has a ration of its own.  One that all connections of a host share can be emptied by
whoever has a connection with it, and so tells him whether another connection sent a challenge
(CVE-2016-5696).  The next moment an answer is given is drawn anew each time, so that not even the
phase of a connection's ration can be learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.tcp import closing
from plait.tcp.state import State
from plait.units import Nanos, Octets
from plait.wire.segment import FIN, RST, SYN, Segment

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection

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


def on_unacceptable(connection: TcpConnection, now: Nanos, segment: Segment, seq: Octets) -> None:
    """Tell the peer what we expect, but never in a storm (RFC 9293, 3.10.7.4, first)."""
    if segment.flags & RST:
        return
    if (segment.length or segment.flags & FIN) and not segment.flags & SYN:
        connection.receiver.ack_now = True
        connection.receiver.note_duplicate(seq, seq + segment.length)
    else:
        connection.challenge(now)
    if not connection.timestamps.check(now, segment):
        connection.counters.paws_estab += 1
    if connection.state is State.TIME_WAIT:
        closing.restart_time_wait(connection, now)
