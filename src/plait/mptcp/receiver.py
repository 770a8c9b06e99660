"""The receiving half of the data level: reassembly, the shared window, Data ACK (RFC 8684, 3.3)."""

from __future__ import annotations

from typing import Final

from plait.buffers import CRUMB, Buffer, Pieces, Reassembly, gather
from plait.units import Octets

LEAST_MOVE: Final = 1460
"""Least step of the window, or half the buffer: no silly windows (RFC 9293, 3.8.6.2.2)."""

MAX_FIELD: Final = 0xFFFF


class StreamReceiver:
    """RCV.NXT and RCV.WND of the connection; positions count from the peer's IDSN."""

    __slots__ = (
        "_edge",
        "_least_move",
        "_most",
        "_queue",
        "advertised",
        "capacity",
        "discarding",
        "early",
        "fin_at",
        "reassembly",
        "unread",
    )

    def __init__(self, capacity: Octets, most: Octets = 0) -> None:
        """Begin with a buffer of `capacity` octets, which may grow to `most`."""
        self.capacity = capacity
        self._most = max(most, capacity)
        self.reassembly = Reassembly(1)
        self.unread: Octets = 0
        """Octets in order that the application has not read."""

        self.fin_at: Octets = -1
        """Position of the peer's DATA_FIN, -1 while unknown."""

        self.early: Octets = 0
        """Octets that came on the SYN, before the stream's first position (RFC 8684, B.2)."""

        self.discarding = False
        """The application will not read any more."""

        self.advertised: Octets = 1
        """Rightmost edge that the peer was told."""

        self._edge: Octets = 1
        self._least_move = min(LEAST_MOVE, capacity // 2)
        self._queue: list[Buffer] = []

    @property
    def rcv_nxt(self) -> Octets:
        """Return RCV.NXT: the Data ACK to send, an in-order DATA_FIN counted."""
        following = self.reassembly.next
        return following + 1 if following == self.fin_at else following

    @property
    def ended(self) -> bool:
        """Return whether all data up to the DATA_FIN has arrived."""
        return self.reassembly.next == self.fin_at

    def edge(self) -> Octets:
        """Return the right edge of the window, which never moves left (RFC 8684, 3.3.4)."""
        limit = self.reassembly.next + self.capacity - self.unread
        if limit - self._edge >= self._least_move:
            self._edge = limit
        return max(self.advertised, self._edge)

    def offer(self, scale: int) -> Octets:
        """Return the window to be told to the peer, in units of `1 << scale` octets.

        Rounding down could move the told edge left (RFC 7323, 2.4), so it is rounded up then.
        Small segments would make that add up for ever: half of the most past the true edge it is
        rounded down after all, by less than a unit.
        """
        following = self.reassembly.next
        field = min(self.window() >> scale, MAX_FIELD)
        crept = self.advertised - self._edge
        if following + (field << scale) < self.advertised and crept <= self._most // 2:
            field = min(-(-(self.advertised - following) >> scale), MAX_FIELD)
        return field << scale

    def on_told(self, window: Octets) -> None:
        """A segment with this window left."""
        self.advertised = max(self.advertised, self.reassembly.next + window)

    def limit(self) -> Octets:
        """Return the position from which data is refused."""
        return self.edge() + self.capacity

    def window(self) -> Octets:
        """Return RCV.WND in octets."""
        return max(0, self.edge() - self.reassembly.next)

    def insert(self, dsn: Octets, pieces: Pieces, length: Octets) -> Octets:
        """Take data and return how many of its octets are new; none if far beyond the window.

        One more capacity past the edge is accepted: Linux adds to a new Data ACK the window of an
        older segment when a newer one is smaller and acknowledges nothing new on its subflow.
        """
        if dsn + length > self.edge() + self.capacity or (0 <= self.fin_at < dsn + length):
            return 0
        reassembly = self.reassembly
        if dsn == reassembly.next and not reassembly.buffered and length >= CRUMB:
            reassembly.next += length
            if not self.discarding:
                self._queue.extend(pieces)
                self.unread += length
            return length
        new = reassembly.insert(dsn, pieces, length)
        ready = reassembly.ready
        if ready:
            if not self.discarding:
                if length < CRUMB:
                    gather(self._queue, ready)
                else:
                    self._queue.extend(ready)
                self.unread += sum(map(len, ready))
            ready.clear()
        return new

    def take_early(self, pieces: Pieces, length: Octets) -> None:
        """Take what the SYN brought; nothing can be in front of it."""
        self.early = self.unread = length
        self._queue.extend(pieces)

    def read(self, limit: Octets) -> list[Buffer]:
        """Return up to `limit` octets in order, as pieces."""
        queue = self._queue
        out: list[Buffer] = []
        left = limit
        for piece in queue:
            if len(piece) > left:
                break
            out.append(piece)
            left -= len(piece)
        del queue[: len(out)]
        if queue and left > 0:
            head = memoryview(queue[0])
            out.append(head[:left])
            queue[0] = head[left:]
            left = 0
        self.unread -= limit - left
        return out

    @property
    def told(self) -> Octets:
        """Return the window in octets as the peer knows it."""
        return max(0, self.advertised - self.reassembly.next)

    def worth_telling(self) -> bool:
        """Return whether the window opened so far that the peer should hear of it at once."""
        gained = self.edge() - self.advertised
        left = self.advertised - self.reassembly.next
        return gained >= self.capacity // 4 or (left < gained and gained >= self.capacity // 8)

    def discard(self) -> None:
        """Drop what is unread and all that comes."""
        self.discarding = True
        self._queue.clear()
        self.unread = 0
