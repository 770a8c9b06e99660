"""The timestamps option: round-trip measurement and PAWS (RFC 7323, 3 to 5)."""

from __future__ import annotations

from typing import Final

from plait.tcp.receiver import Receiver
from plait.units import MILLISECOND, SECOND, Nanos, Octets
from plait.wire.segment import ABSENT, ACK, RST, SYN, Segment
from plait.wire.seq import HALF32, MASK32

IDLE_LIMIT: Final = 24 * 24 * 3600 * SECOND
"""TS.Recent says nothing any more after this much silence (RFC 7323, 5.5)."""


class Timestamps:
    """TSval we send, and TS.Recent."""

    def __init__(self, wanted: bool, offset: int) -> None:
        """Offer the option if `wanted`; `offset` hides the host's clock from the peer."""
        self.on = wanted
        self.recent = 0
        self.last_ack_sent: Octets = 0
        self._recent_at: Nanos = 0
        self._offset = offset

    def _clock(self, now: Nanos) -> int:
        return (now // MILLISECOND + self._offset) & MASK32

    def stamp(self, now: Nanos, flags: int) -> tuple[int, int]:
        """Return TSval and TSecr for a segment with these flags."""
        if not self.on:
            return ABSENT, 0
        return self._clock(now), self.recent if flags & ACK else 0

    def start(self, now: Nanos, syn: Segment) -> None:
        """Settle the option from the peer's SYN or SYN/ACK."""
        self.on = self.on and syn.ts_val != ABSENT
        self.recent = syn.ts_val if self.on else 0
        self._recent_at = now

    def check(self, now: Nanos, segment: Segment) -> bool:
        """Return whether the segment passes PAWS (RFC 7323, 5.3)."""
        if not self.on or segment.ts_val == ABSENT or segment.flags & (RST | SYN):
            return True
        behind = (self.recent - segment.ts_val) & MASK32
        return behind == 0 or behind >= HALF32 or now - self._recent_at > IDLE_LIMIT

    def update(self, now: Nanos, segment: Segment, seq: Octets, receiver: Receiver) -> None:
        """Advance TS.Recent from a segment at the left edge (RFC 7323, 4.3)."""
        if self.on and segment.ts_val != ABSENT and seq <= self.last_ack_sent:
            self.recent = segment.ts_val
            self._recent_at = now

    def echoed_rtt(self, now: Nanos, segment: Segment) -> Nanos:
        """Return the round-trip time that TSecr tells, 0 if it tells none."""
        if not self.on or segment.ts_val == ABSENT or segment.ts_ecr == 0:
            return 0
        elapsed = (self._clock(now) - segment.ts_ecr) & MASK32
        return max(1, elapsed) * MILLISECOND if elapsed < HALF32 else 0
