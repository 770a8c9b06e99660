"""TIME-WAIT: what is left of a connection that we closed first (RFC 9293, 3.6.1).

A few numbers suffice to acknowledge late segments, so the connection itself goes at once.  RSTs are
ignored (RFC 1337), and a SYN that is surely new begins another connection (RFC 6191).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from plait.tcp.challenge import Challenges
from plait.tcp.connection import TcpConnection
from plait.tcp.timestamps import clock
from plait.trace.counters import Counters
from plait.units import SECOND, Nanos
from plait.wire.mptcp.dss import Dss
from plait.wire.segment import ABSENT, ACK, FIN, RST, SYN, Segment
from plait.wire.seq import HALF32, MASK32, wrap32

ISS_STEP: Final = 65537
"""Least distance of a new ISS from the old SND.NXT: one window without scaling, and SYN and FIN."""

REUSE_AFTER: Final = SECOND
"""Least age of the peer's last timestamp before we connect anew on the same path.

The next tick of the peer's clock must be behind us (RFC 6191, 2; Linux waits as long).
"""


class Verdict(Enum):
    """What a segment for a connection in TIME-WAIT means."""

    IGNORED = "nothing to say"
    ANSWERED = "acknowledge it again"
    REUSED = "a new connection begins"


class Remains:
    """The numbers of one connection in TIME-WAIT, as the wire has them."""

    __slots__ = (
        "challenges",
        "dss",
        "flow_out",
        "marking",
        "rcv_nxt",
        "recent",
        "recent_at",
        "snd_nxt",
        "span",
        "stamp",
        "until",
        "window",
    )

    def __init__(self, now: Nanos, tcp: TcpConnection, dss: Dss | None, span: Nanos) -> None:
        """Keep what `tcp`, which has entered TIME-WAIT, may still have to say.

        Args:
            dss: The Data ACK that its ACKs carry, None on plain TCP.
            span: How long, each FIN that comes again starting it anew.
        """
        receiver = tcp.receiver
        self.flow_out = tcp.flow_out
        self.snd_nxt = wrap32(tcp.sender.snd_nxt, tcp.iss)
        self.rcv_nxt = wrap32(receiver.rcv_nxt, receiver.irs)
        self.window = min(65535, tcp.window >> receiver.scale)
        self.dss = dss
        self.marking = tcp.settings.marking
        self.stamp = tcp.timestamps.offset if tcp.timestamps.on else ABSENT
        """What our clock adds to the time, `ABSENT` without timestamps."""

        self.recent = tcp.timestamps.recent
        self.recent_at: Nanos = now
        self.span = span
        self.until = now + self.span
        self.challenges = Challenges(tcp.settings.challenge_gap, tcp.iss)

    def judge(self, now: Nanos, segment: Segment) -> Verdict:
        """Return what to make of a segment that arrived for the old connection."""
        flags = segment.flags
        if flags & RST:
            return Verdict.IGNORED
        if flags & (SYN | ACK) == SYN and self._is_new(segment):
            return Verdict.REUSED
        if flags & FIN and not self._is_old(segment):
            self.until = now + self.span
            return Verdict.ANSWERED
        bare = not segment.length and not flags & (SYN | FIN)
        if bare and segment.seq == self.rcv_nxt:
            return Verdict.IGNORED
        return Verdict.ANSWERED if self.challenges.take(now) else Verdict.IGNORED

    def _is_new(self, syn: Segment) -> bool:
        """Return whether a SYN cannot be an old duplicate (RFC 6191, 2)."""
        later = 0 < (syn.seq - self.rcv_nxt) & MASK32 < HALF32
        if syn.ts_val == ABSENT:
            return later
        if self.stamp == ABSENT:
            return True
        newer = (syn.ts_val - self.recent) & MASK32
        return 0 < newer < HALF32 or (newer == 0 and later)

    def _is_old(self, segment: Segment) -> bool:
        """Return whether PAWS refuses a segment (RFC 7323, 5.3)."""
        if ABSENT in (self.stamp, segment.ts_val):
            return False
        return 0 < (self.recent - segment.ts_val) & MASK32 < HALF32

    def reusable(self, now: Nanos) -> bool:
        """Return whether we may connect anew: timestamps tell both connections apart."""
        return self.stamp != ABSENT and now - self.recent_at >= REUSE_AFTER

    def next_iss(self, iss: int) -> int:
        """Return `iss`, or one beyond all numbers of the old connection (RFC 6191, 2)."""
        least = (self.snd_nxt + ISS_STEP) & MASK32
        return iss if (iss - least) & MASK32 < HALF32 else least

    def ack(self, now: Nanos) -> Segment:
        """Return the ACK of all there was."""
        segment = Segment(self.flow_out, self.snd_nxt, self.rcv_nxt, ACK, self.window)
        if self.stamp != ABSENT:
            segment.ts_val = clock(now, self.stamp)
            segment.ts_ecr = self.recent
        segment.dss = self.dss
        segment.marking = self.marking
        return segment


class TimeWait:
    """The remains of a host by the flow of what arrives, the oldest first."""

    def __init__(self, limit: int, counters: Counters) -> None:
        """Make an empty table that keeps at most `limit` of them."""
        self._limit = limit
        self._counters = counters
        self._by_flow: dict[bytes, Remains] = {}

    def __len__(self) -> int:
        """Return how many connections are in TIME-WAIT."""
        return len(self._by_flow)

    def __contains__(self, flow: object) -> bool:
        """Return whether the connection of these arrivals is in TIME-WAIT."""
        return flow in self._by_flow

    def get(self, flow: bytes) -> Remains | None:
        """Return what is left of the connection of these arrivals."""
        return self._by_flow.get(flow)

    def add(self, flow: bytes, remains: Remains) -> None:
        """Keep one; where there is no room the oldest goes."""
        self._by_flow.pop(flow, None)
        if len(self._by_flow) >= self._limit:
            self._counters.tcp_time_wait_overflow += 1
            if not self._limit:
                return
            del self._by_flow[next(iter(self._by_flow))]
        self._by_flow[flow] = remains

    def pop(self, flow: bytes) -> Remains | None:
        """Forget one, whose flow another connection takes over."""
        return self._by_flow.pop(flow, None)

    def next_timeout(self) -> Nanos | None:
        """Return when the oldest is to go."""
        for remains in self._by_flow.values():
            return remains.until
        return None

    def handle_timeout(self, now: Nanos) -> None:
        """Forget the oldest ones that are due; those that were extended go to the end."""
        while self._by_flow:
            flow, remains = next(iter(self._by_flow.items()))
            if remains.until > now:
                return
            del self._by_flow[flow]
            self._counters.tw += 1

    def judge(self, now: Nanos, flow: bytes, segment: Segment) -> Verdict:
        """Return what a late segment means; a FIN that comes again starts the time anew."""
        remains = self._by_flow[flow]
        until = remains.until
        verdict = remains.judge(now, segment)
        if remains.until != until:
            self._by_flow[flow] = self._by_flow.pop(flow)
        return verdict
