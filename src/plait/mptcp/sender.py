"""The sending half of the data level: the stream buffer, the peer's window, what goes out next."""

from __future__ import annotations

from plait.buffers import SendBuffer
from plait.ranges import RangeSet
from plait.units import Octets


class StreamSender:
    """SND.UNA, SND.NXT and SND.WND of the connection; positions count from our IDSN."""

    __slots__ = (
        "buffer",
        "capacity",
        "early",
        "edge",
        "fin_queued",
        "reinject",
        "repeated",
        "snd_nxt",
        "snd_una",
        "starved",
        "unblocked",
    )

    def __init__(self, capacity: Octets) -> None:
        self.capacity = capacity
        self.buffer = SendBuffer(1)
        self.snd_una: Octets = 1
        """First position without a Data ACK."""

        self.snd_nxt: Octets = 1
        """First position never granted to a subflow."""

        self.edge: Octets = 1
        """Right edge of the peer's window: the largest Data ACK plus window (RFC 8684, 3.3.5)."""

        self.reinject = RangeSet()
        """Data to be sent once more, on another subflow than before."""

        self.unblocked: Octets = 1
        """Position up to which the head of a full window was sent on a faster subflow."""

        self.early: Octets = 0
        """Octets that left on the SYN, before the stream's first position (RFC 8684, B.2)."""

        self.repeated: Octets = 0
        """Octets that were granted once more because a subflow failed them."""

        self.fin_queued = False
        self.starved = False
        """A `write` was cut short; the application waits to hear of room."""

    def room(self) -> Octets:
        """Return how much a `write` would take now."""
        return self.capacity - self.held()

    def held(self) -> Octets:
        """Return how much was written and is not acknowledged."""
        return self.buffer.stop - self.buffer.start

    def write(self, data: bytes | memoryview) -> Octets:
        """Take what fits and return how much that was."""
        room = self.room()
        if len(data) <= room:
            self.buffer.append(data)
            return len(data)
        self.starved = True
        if room > 0:
            self.buffer.append(memoryview(data)[:room])
        return max(room, 0)

    def drop_early(self, length: Octets) -> None:
        """The first octets written were delivered by the SYN: the stream begins behind them."""
        self.early = length
        rest = self.buffer.pieces(self.buffer.start + length, self.buffer.stop)
        self.buffer = SendBuffer(1)
        for piece in rest:
            self.buffer.append(piece)

    def room_again(self) -> bool:
        """Return, once, whether a `write` after a short one is worthwhile.

        It is when a third of the buffer is free, or any of it and nothing is left to grant.
        """
        if not self.starved:
            return False
        held = self.held()
        idle = self.snd_nxt == self.buffer.stop and held < self.capacity
        if idle or 3 * held <= 2 * self.capacity:
            self.starved = False
            return True
        return False

    def on_ack(self, ack: Octets) -> Octets:
        """Apply a Data ACK and return the octets it newly acknowledged, DATA_FIN counted.

        One beyond what was sent, or old, is ignored.
        """
        if ack <= self.snd_una:
            return 0
        last = self.snd_nxt + (1 if self.fin_queued and self.snd_nxt == self.buffer.stop else 0)
        if ack > last:
            return 0
        acked = ack - self.snd_una
        self.snd_una = ack
        self.buffer.release(ack)
        if self.reinject.total:
            self.reinject.discard_below(ack)
        return acked

    def on_window(self, edge: Octets) -> None:
        """Remember the furthest right edge."""
        self.edge = max(self.edge, edge)

    @property
    def fin_acked(self) -> bool:
        """Return whether the peer has all data and our DATA_FIN."""
        return self.fin_queued and self.snd_una > self.buffer.stop

    @property
    def fin_sendable(self) -> bool:
        """Return whether all data was granted, so that a DATA_FIN may follow."""
        return self.fin_queued and self.snd_nxt == self.buffer.stop and not self.fin_acked

    def next_range(self) -> tuple[Octets, Octets] | None:
        """Return what is to be granted next: reinjections first, then new data in the window."""
        if self.reinject.total:
            return self.reinject.first
        stop = min(self.edge, self.buffer.stop)
        return (self.snd_nxt, stop) if stop > self.snd_nxt else None

    def on_granted(self, start: Octets, stop: Octets) -> None:
        """The range was queued on a subflow."""
        if self.reinject.total:
            self.reinject.remove(start, stop)
            self.repeated += stop - start
        self.snd_nxt = max(self.snd_nxt, stop)

    def blocked(self) -> bool:
        """Return whether data waits and the peer's window is why."""
        return self.buffer.stop > self.snd_nxt >= self.edge
