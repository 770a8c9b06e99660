"""A path emulator in user space: rate, delay, a queue and loss in front of any driver.

Each direction is a link of its own: a tail-drop queue before a transmitter of a given rate, then a
wire of a given delay.  A packet is lost on the wire, after it has taken its share of the rate.  A
super-segment takes the time of all the packets it stands for, headers included; where that time
would be long enough to notice, and wherever its packets may fare differently, it is cut up.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from plait.drivers.base import Driver, Wrapper
from plait.errors import UsageError
from plait.host.output import split
from plait.units import MILLISECOND, SECOND, Nanos, Octets
from plait.wire.packet import header_length
from plait.wire.segment import Segment

GRAIN: Final = MILLISECOND
"""Longest time, in nanoseconds, that one piece may occupy a link before it is cut up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkShape:
    """What one direction of a path is like."""

    rate: int | None = None
    """Bits per second, IP headers counted; None is unlimited."""

    delay: Nanos = 0
    """One-way propagation delay in nanoseconds."""

    queue: Octets = 256 * 1024
    """Octets that may wait or be in transmission; more is dropped.  Unlimited without a rate."""

    loss: float = 0.0
    """Probability that a packet is lost on the wire, 0 to 1."""

    burst_start: float = 0.0
    """Probability that a packet begins a burst of losses (Gilbert and Elliott's model), 0 to 1."""

    burst_stop: float = 1.0
    """Probability that a lost packet is the last of its burst, 0 to 1."""

    late: float = 0.0
    """Probability that a packet is overtaken by those behind it, 0 to 1."""

    lateness: Nanos = 0
    """How much later such a packet arrives, in nanoseconds."""

    stall_at: Nanos = 0
    """Time after the first packet at which the wire stops for `stall` and loses nothing."""

    stall: Nanos = 0
    gap_at: Octets = 0
    """Payload octets after which `gap` packets in a row are lost, once."""

    gap: int = 0
    """Packets."""

    def __post_init__(self) -> None:
        """Raise UsageError on values that no link has."""
        if self.rate is not None and self.rate <= 0:
            raise UsageError(f"a link's rate is more than 0 bit/s, not {self.rate}")
        if self.delay < 0 or self.queue < 0:
            raise UsageError("a link's delay and queue are not negative")
        if min(self.lateness, self.stall_at, self.stall, self.gap_at, self.gap) < 0:
            raise UsageError("a link's lateness, stall and gap are not negative")
        for name in ("loss", "burst_start", "burst_stop", "late"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"a link's {name} is 0 to 1, not {getattr(self, name)}")

    @property
    def selective(self) -> bool:
        """Whether packets that are sent together may fare differently."""
        return self.loss > 0 or self.burst_start > 0 or self.late > 0 or self.gap > 0


class Link:
    """One direction: segments go in by `push` and come out by `pop` when they have arrived.

    Attributes:
        overflowed: Packets that found the queue full.
        lost: Packets lost on the wire, those on their way at a cut counted.
        octets: Octets that arrived, headers counted.
    """

    def __init__(self, shape: LinkShape, random: Random) -> None:
        self.shape = shape
        self.overflowed = 0
        self.lost = 0
        self.octets: Octets = 0
        self._random = random
        self._up = True
        self._idle_at: Nanos = 0
        self._began: Nanos = -1
        self._payload: Octets = 0
        self._gap = shape.gap
        self._in_burst = False
        self._arriving: deque[tuple[Nanos, Octets, Segment]] = deque()

    def push(self, now: Nanos, segment: Segment) -> None:
        """Take a segment that its host sends at `now`, whole or in pieces."""
        if self._began < 0:
            self._began = now
        if self._is_one(now, segment):
            self._enqueue(now, segment)
            return
        for piece in split(segment):
            self._enqueue(now, piece)

    def pop(self, now: Nanos, limit: int) -> list[Segment]:
        """Return up to `limit` segments that have arrived by `now`, oldest first."""
        arriving = self._arriving
        arrived: list[Segment] = []
        while arriving and len(arrived) < limit and arriving[0][0] <= now:
            _, octets, segment = arriving.popleft()
            self.octets += octets
            arrived.append(segment)
        return arrived

    def next_arrival(self) -> Nanos | None:
        """Return when the next segment arrives."""
        return self._arriving[0][0] if self._arriving else None

    def cut(self) -> None:
        """Lose what is on its way and everything that follows, until `restore`."""
        self._up = False
        self.lost += sum(_packets(segment) for _, _, segment in self._arriving)
        self._arriving.clear()
        self._idle_at = 0

    def restore(self) -> None:
        """Carry segments again."""
        self._up = True

    def _is_one(self, now: Nanos, segment: Segment) -> bool:
        """Return whether all packets of `segment` fare alike and take no noticeable time."""
        if not 0 < segment.segment_size < segment.length:
            return True
        if self.shape.selective:
            return False
        octets = wire_octets(segment)
        return self._time(octets) <= GRAIN and self._fits(now, octets)

    def _enqueue(self, now: Nanos, segment: Segment) -> None:
        octets = wire_octets(segment)
        if not self._up:
            self.lost += _packets(segment)
            return
        if self._idle_at > now and not self._fits(now, octets):  # an idle link takes any packet
            self.overflowed += _packets(segment)
            return
        self._idle_at = max(self._idle_at, now) + self._time(octets)
        if self.shape.selective and self._loses(segment):
            self.lost += 1
            return
        arrival = self._idle_at + self.shape.delay
        if self.shape.late > 0 and self._random.random() < self.shape.late:
            arrival += self.shape.lateness
        stalled = arrival - self._began - self.shape.stall_at
        if 0 <= stalled < self.shape.stall:
            arrival += self.shape.stall - stalled
        if self._arriving and self._arriving[-1][0] > arrival:
            insort(self._arriving, (arrival, octets, segment), key=_arrival)
        else:
            self._arriving.append((arrival, octets, segment))

    def _loses(self, segment: Segment) -> bool:
        """Return whether the wire loses this packet."""
        shape = self.shape
        self._payload += segment.length
        if self._gap and segment.length and self._payload > shape.gap_at:
            self._gap -= 1
            return True
        if self._in_burst or (shape.burst_start and self._random.random() < shape.burst_start):
            self._in_burst = self._random.random() >= shape.burst_stop
            return True
        return shape.loss > 0 and self._random.random() < shape.loss

    def _fits(self, now: Nanos, octets: Octets) -> bool:
        """Return whether a queue that holds what is not yet transmitted has room for more."""
        rate = self.shape.rate
        if rate is None:
            return True
        waiting = max(self._idle_at - now, 0) * rate // (8 * SECOND)
        return waiting + octets <= self.shape.queue

    def _time(self, octets: Octets) -> Nanos:
        rate = self.shape.rate
        return 0 if rate is None else octets * 8 * SECOND // rate


class Emulation(Wrapper):
    """A driver with an emulated path between it and the host.

    Args:
        inner: The driver behind the path.
        sending: The direction from the host; also the other one unless `receiving` is given.
        receiving: The direction to the host.
        seed: Fixes which packets are lost.
    """

    def __init__(
        self, inner: Driver, sending: LinkShape, receiving: LinkShape | None = None, seed: int = 0
    ) -> None:
        super().__init__(inner)
        self.sending = Link(sending, Random(2 * seed))  # noqa: S311  loss wants no secrecy
        self.receiving = Link(receiving or sending, Random(2 * seed + 1))  # noqa: S311  likewise

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Send what has crossed the path, take in what arrived, return what has crossed."""
        self._forward(now)
        for segment in self._inner.read_burst(now, limit):
            self.receiving.push(now, segment)
        return self.receiving.pop(now, limit)

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Let the segments start across the path."""
        for segment in segments:
            self.sending.push(now, segment)
        self._forward(now)

    def next_timeout(self) -> Nanos | None:
        """Return when the next segment has crossed in either direction."""
        times = (
            self._inner.next_timeout(),
            self.sending.next_arrival(),
            self.receiving.next_arrival(),
        )
        return min((time for time in times if time is not None), default=None)

    def pending(self) -> bool:
        """Return whether segments are crossing, or held back by the inner driver."""
        crossing = self.sending.next_arrival(), self.receiving.next_arrival()
        return crossing != (None, None) or self._inner.pending()

    def cut(self) -> None:
        """Break the path: nothing passes in either direction until `restore`."""
        self.sending.cut()
        self.receiving.cut()

    def restore(self) -> None:
        """Mend the path."""
        self.sending.restore()
        self.receiving.restore()

    def _forward(self, now: Nanos) -> None:
        while crossed := self.sending.pop(now, self.capabilities.burst):
            self._inner.write_burst(now, crossed)


def _arrival(item: tuple[Nanos, Octets, Segment]) -> Nanos:
    return item[0]


def wire_octets(segment: Segment) -> Octets:
    """Return the octets of all packets that `segment` stands for, IP headers counted."""
    return _packets(segment) * header_length(segment) + segment.length


def _packets(segment: Segment) -> int:
    """Return how many packets `segment` stands for."""
    size = segment.segment_size
    return -(-segment.length // size) if 0 < size < segment.length else 1
