"""Stream buffers kept as chunks: data is sliced by reference and copied as late as possible."""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final, TypeAlias

from plait.units import Octets

Buffer: TypeAlias = bytes | memoryview
Pieces: TypeAlias = tuple[Buffer, ...]

SMALL: Final = 4096
"""Writes below this are gathered, so that many of them do not become many chunks."""

GATHERED: Final = 1 << 16
"""Gathered writes become a chunk of their own at this size."""


def is_stable(data: Buffer) -> bool:
    """Return whether `data` is a view of octets that nobody changes: bytes, or a mapped file."""
    return (
        isinstance(data, memoryview) and data.readonly and isinstance(data.obj, bytes | mmap.mmap)
    )


def gather(pieces: list[Buffer], more: Iterable[Buffer]) -> None:
    """Append pieces that are to be kept; crumbs become one with what is before them."""
    for piece in more:
        if len(piece) < CRUMB and pieces and len(pieces[-1]) < SMALL:
            pieces[-1] = b"".join((pieces[-1], piece))
        else:
            pieces.append(piece)


def slice_pieces(pieces: Pieces, start: Octets, stop: Octets) -> Pieces:
    """Return octets `start` to `stop` of the concatenation, without copying."""
    if len(pieces) == 1:
        return (memoryview(pieces[0])[start:stop],)
    chosen: list[Buffer] = []
    at = 0
    for piece in pieces:
        end = at + len(piece)
        if end > start and at < stop:
            chosen.append(memoryview(piece)[max(0, start - at) : stop - at])
        at = end
    return tuple(chosen)


class SendBuffer:
    """The part of a stream that was written and is not yet acknowledged."""

    __slots__ = ("_chunks", "_starts", "_tail", "start", "stop")

    start: Octets
    """First position held."""

    stop: Octets
    """Position after the last octet written."""

    def __init__(self, start: Octets) -> None:
        self.start = start
        self.stop = start
        self._chunks: list[memoryview] = []
        self._starts: list[Octets] = []
        self._tail = bytearray()

    def append(self, data: Buffer) -> None:
        """Add `data` behind what was written; only what could change is copied, and crumbs."""
        if len(data) < SMALL:
            self._tail += data
            self.stop += len(data)
            if len(self._tail) >= GATHERED:
                self._freeze()
            return
        self._freeze()
        self._starts.append(self.stop)
        stable = type(data) is bytes or is_stable(data)
        self._chunks.append(memoryview(data if stable else bytes(data)))
        self.stop += len(data)

    def _freeze(self) -> None:
        if self._tail:
            self._starts.append(self.stop - len(self._tail))
            self._chunks.append(memoryview(bytes(self._tail)))
            self._tail = bytearray()

    def pieces(self, start: Octets, stop: Octets) -> Pieces:
        """Return the octets from `start` to `stop`, all of which must be held."""
        if stop > self.stop - len(self._tail):
            self._freeze()
        if start == stop:
            return ()
        at = bisect_right(self._starts, start) - 1
        offset = start - self._starts[at]
        view = self._chunks[at][offset : offset + stop - start]
        if len(view) == stop - start:
            return (view,)
        chosen: list[Buffer] = [view]
        start += len(view)
        while start < stop:
            at += 1
            view = self._chunks[at][: stop - start]
            chosen.append(view)
            start += len(view)
        return tuple(chosen)

    def release(self, position: Octets) -> None:
        """Forget what lies below `position`."""
        if position <= self.start:
            return
        self.start = min(position, self.stop)
        whole = bisect_right(self._starts, self.start) - 1
        if self.start == self.stop - len(self._tail):
            whole = len(self._starts)
        if whole > 0:
            del self._starts[:whole]
            del self._chunks[:whole]


CRUMB: Final = 256
"""Pieces below this are joined to the one before: each costs some hundred octets besides."""

MAX_RUNS: Final = 4096
"""Runs held out of order.  Each costs some hundred octets, however short: a peer that sends every
other octet of a large window must not take more memory than the window promises."""

_NO_ENDS: Final[list[Octets]] = []
_NO_RUNS: Final[list[list[Buffer]]] = []
"""Shared by all that hold nothing out of order, and never changed."""


class Reassembly:
    """Puts octets in order; the copy that came first wins (RFC 8684, 3.3.1).

    What is held out of order is kept in runs that never touch each other.
    """

    __slots__ = ("_held", "_starts", "_stops", "buffered", "next", "ready")

    next: Octets
    """First position not yet in order: RCV.NXT."""

    buffered: Octets
    """Octets held out of order."""

    def __init__(self, start: Octets) -> None:
        self.next = start
        self.buffered = 0
        self.ready: list[Buffer] = []
        self._starts = _NO_ENDS
        self._stops = _NO_ENDS
        self._held = _NO_RUNS

    def append(self, pieces: Pieces, length: Octets) -> None:
        """Take a run that begins at `next` while nothing is held out of order."""
        self.ready.extend(pieces)
        self.next += length

    def insert(self, start: Octets, pieces: Pieces, length: Octets) -> Octets:
        """Take a run and return how many of its octets are new."""
        if start == self.next and not self._starts:
            self.append(pieces, length)
            return length
        stop = start + length
        if stop <= self.next:
            return 0
        if start < self.next:
            pieces = slice_pieces(pieces, self.next - start, length)
            start = self.next
        new = self._hold(start, stop, pieces)
        if start == self.next:
            self._release()
        return new

    def _hold(self, start: Octets, stop: Octets, pieces: Pieces) -> Octets:
        """Keep the parts of the run that are not held yet."""
        if self._starts is _NO_ENDS:
            self._starts, self._stops, self._held = [], [], []
        before = self.buffered
        position = start
        while position < stop:
            at = bisect_right(self._starts, position)
            if at and self._stops[at - 1] > position:
                position = self._stops[at - 1]
                continue
            end = min(stop, self._starts[at]) if at < len(self._starts) else stop
            self._join(at, position, end, slice_pieces(pieces, position - start, end - start))
            position = end
        return self.buffered - before

    def _join(self, at: int, start: Octets, stop: Octets, pieces: Pieces) -> None:
        """Keep octets in front of run `at`, as one run with the neighbors that they touch."""
        extends = at > 0 and self._stops[at - 1] == start
        if not extends and len(self._starts) >= MAX_RUNS and start > self.next:
            return
        self.buffered += stop - start
        if extends:
            at -= 1
            self._stops[at] = stop
            gather(self._held[at], pieces)
        else:
            self._starts.insert(at, start)
            self._stops.insert(at, stop)
            self._held.insert(at, list(pieces))
        following = at + 1
        if following < len(self._starts) and self._starts[following] == stop:
            del self._starts[following]
            self._stops[at] = self._stops.pop(following)
            gather(self._held[at], self._held.pop(following))

    def _release(self) -> None:
        """Move what is in order now to `ready`."""
        start = self._starts.pop(0)
        self.next = self._stops.pop(0)
        self.buffered -= self.next - start
        self.ready.extend(self._held.pop(0))

    def take_ready(self) -> list[Buffer]:
        """Return the octets in order that came since the last call, and forget them."""
        ready = self.ready
        self.ready = []
        return ready

    def range_at(self, position: Octets) -> tuple[Octets, Octets] | None:
        """Return the run around `position`, if one is held out of order."""
        at = bisect_right(self._starts, position) - 1
        if at < 0 or position >= self._stops[at]:
            return None
        return self._starts[at], self._stops[at]

    def holds(self, start: Octets, stop: Octets) -> bool:
        """Return whether any octet of the range was received already."""
        if start < self.next:
            return True
        at = bisect_left(self._stops, start + 1)
        return at < len(self._starts) and self._starts[at] < stop
