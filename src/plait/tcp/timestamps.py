"""The timestamps option: round-trip measurement and PAWS (RFC 7323, 3 to 5)."""

from __future__ import annotations

from typing import Final

from plait.units import MILLISECOND, SECOND, Nanos, Octets
from plait.wire.segment import ABSENT, ACK, RST, SYN, Segment
from plait.wire.seq import HALF32, MASK32

TIMESTAMPS_ROOM: Final = 12
"""Octets of the option with its padding."""

TICK: Final = MILLISECOND
"""Granularity of the timestamp clock (RFC 7323, 5.4)."""

IDLE_LIMIT: Final = 24 * 24 * 3600 * SECOND
"""TS.Recent says nothing any more after this much silence (RFC 7323, 5.5)."""


def clock(now: Nanos, offset: int) -> int:
    """Return the TSval of this moment: milliseconds, and what hides the host's own clock."""
    return (now // TICK + offset) & MASK32


def tick(now: Nanos) -> Nanos:
    """Return the start of the tick of the timestamp clock that `now` falls into."""
    return now - now % TICK


class Timestamps:
    """TSval we send, and TS.Recent."""

    __slots__ = ("_echo", "_recent_at", "last_ack_sent", "offset", "on", "recent")

    def __init__(self, wanted: bool, offset: int) -> None:
        """Offer the option if `wanted`; `offset` hides the host's clock from the peer."""
        self.on = wanted
        self.recent = 0
        self.last_ack_sent: Octets = 0
        self._recent_at: Nanos = 0
        self._echo = 0
        self.offset = offset

    def stamp(self, now: Nanos, flags: int) -> tuple[int, int]:
        """Return TSval and TSecr for a segment with these flags."""
        if not self.on:
            return ABSENT, 0
        return clock(now, self.offset), self.recent if flags & ACK else 0

    def start(self, now: Nanos, syn: Segment) -> None:
        """Settle the option from the peer's SYN or SYN/ACK."""
        self.on = self.on and syn.ts_val != ABSENT
        self.recent = syn.ts_val if self.on else 0
        self._recent_at = now

    def check(self, now: Nanos, segment: Segment) -> bool:
        """Return whether the segment passes PAWS (RFC 7323, 5.3)."""
        value = segment.ts_val
        if value == self.recent or not self.on:
            return True
        if value == ABSENT or segment.flags & (RST | SYN):
            return True
        return (self.recent - value) & MASK32 >= HALF32 or now - self._recent_at > IDLE_LIMIT

    def update(self, now: Nanos, segment: Segment, seq: Octets) -> None:
        """Advance TS.Recent from a segment at the left edge (RFC 7323, 4.3)."""
        if self.on and segment.ts_val != ABSENT and seq <= self.last_ack_sent:
            self.recent = segment.ts_val
            self._echo = segment.ts_ecr
            self._recent_at = now

    def echoed_at(self, now: Nanos, segment: Segment) -> Nanos:
        """Return when the segment left that TSecr answers, to the tick; -1 if it tells none."""
        if not self.on or segment.ts_val == ABSENT or segment.ts_ecr == 0:
            return -1
        elapsed = (clock(now, self.offset) - segment.ts_ecr) & MASK32
        return tick(now) - elapsed * TICK if elapsed < HALF32 else -1

    def arrival_rtt(self) -> Nanos:
        """Return the round-trip time that the last segment in order tells, 0 if it tells none.

        It is from our ACK to the data that the ACK let go, so it needs no data of ours.
        """
        elapsed = (clock(self._recent_at, self.offset) - self._echo) & MASK32
        return elapsed * TICK if self.on and self._echo and elapsed < HALF32 else 0
