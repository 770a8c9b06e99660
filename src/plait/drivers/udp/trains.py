"""Super-segments as runs of datagrams, and back: what UDP_SEGMENT cuts and UDP_GRO joins.

A run has one header, in which sequence numbers and a few flags differ.  So it is handled as one
segment: its header is made or parsed once, and the others are compared with what they must be.
Runs are taken apart and put together by `struct`, which costs a third of doing it piece by piece
with views, though it copies the payload once more.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from plait.drivers.udp.format import ID_OCTETS
from plait.units import Octets
from plait.wire.segment import ACK, CWR, FIN, PSH, Buffer, Segment
from plait.wire.tcp import tcp_header

MAX_DATAGRAMS: Final = 64
"""What Linux cuts out of one call at most (UDP_MAX_SEGMENTS)."""

MAX_OCTETS: Final[Octets] = 65_507
"""Octets in all of one call: what a UDP datagram over IPv4 holds."""

_MASK32: Final = 0xFFFF_FFFF

# Where fields of the TCP header are in a datagram (RFC 9293, 3.1).
_SEQ: Final = ID_OCTETS + 4
_ACK: Final = ID_OCTETS + 8
_FLAGS: Final = ID_OCTETS + 13

_ENOUGH: Final[Octets] = 65_535
"""A run of more octets is not continued: acknowledgments should not wait for ever more."""

_FORMS: Final = 256
"""Shapes of runs that are remembered: making one costs as much as using it."""

Train = tuple[Buffer, Octets]
"""What one call sends, and the octets of each datagram in it; 0 if it is one datagram."""


def trains(session_id: bytes, segment: Segment, most: int) -> Iterator[Train]:
    """Yield what to send for a super-segment, cut as `host.output.split` does.

    The checksums of TCP stay zero: that of UDP covers as much.

    Args:
        session_id: Of the receiver.
        segment: What to cut; a plain segment is its own only piece.
        most: Datagrams in one call.
    """
    header = session_id + tcp_header(segment)
    size = segment.segment_size
    if not 0 < size < segment.length:
        yield b"".join((header, *segment.payload)), 0
        return
    last = segment.flags & (FIN | PSH)
    tail = _with_flags(header[_ACK:], segment.flags & ~(last | CWR))
    payload = segment.payload[0] if len(segment.payload) == 1 else b"".join(segment.payload)
    parts = _run(header[:_SEQ], tail, memoryview(payload), size, segment.seq)
    parts[2] = _with_flags(tail, segment.flags & ~last)
    parts[-2] = _with_flags(tail, parts[-2][_FLAGS - _ACK] | last)
    datagram = len(header) + size
    count = len(parts) // _PARTS
    runs = -(-count // min(most, MAX_OCTETS // datagram))
    step = -(-count // runs) * _PARTS
    for at in range(0, len(parts), step):
        run = parts[at : at + step]
        yield b"".join(run), datagram if len(run) > _PARTS else 0


_PARTS: Final = 4
"""Parts of a datagram: what stands before its sequence number, that, the rest of the header, and
the payload."""


def _run(prefix: bytes, tail: bytes, payload: memoryview, size: Octets, seq: int) -> list[Buffer]:
    """Return the parts of all datagrams, one after the other."""
    full = len(payload) // size
    pieces = list(_payloads(full, size).unpack_from(payload))
    if full * size < len(payload):
        pieces.append(payload[full * size :])
    buffers: list[Buffer] = [prefix, b"", tail, b""] * len(pieces)
    buffers[1::_PARTS] = _sequence(len(pieces), size, seq)
    buffers[3::_PARTS] = pieces
    return buffers


def _sequence(count: int, size: Octets, seq: int) -> tuple[bytes, ...]:
    """Return the sequence numbers of `count` datagrams."""
    return _words(count).unpack(_numbers(count).pack(*_range(count, size, seq)))


def _range(count: int, size: Octets, seq: int) -> tuple[int, ...]:
    """Return `count` sequence numbers, `size` apart, as on the wire."""
    numbers = range(seq, seq + count * size, size)
    if numbers[-1] > _MASK32:
        return tuple(number & _MASK32 for number in numbers)
    return tuple(numbers)


@lru_cache(_FORMS)
def _numbers(count: int) -> struct.Struct:
    return struct.Struct(f"!{count}I")


@lru_cache(_FORMS)
def _words(count: int) -> struct.Struct:
    return struct.Struct("4s" * count)


@lru_cache(_FORMS)
def _payloads(count: int, size: Octets) -> struct.Struct:
    return struct.Struct(f"{size}s" * count)


@lru_cache(_FORMS)
def _datagrams(count: int, tail: Octets, size: Octets) -> struct.Struct:
    """Return the form of a run: `tail` octets from the acknowledgment on, `size` of payload."""
    return struct.Struct("!" + f"{_SEQ}sI{tail}s{size}s" * count)


def _with_flags(tail: Buffer, flags: int) -> bytes:
    """Return a header from its acknowledgment on with other flags."""
    at = _FLAGS - _ACK
    return b"".join((tail[:at], bytes((flags,)), tail[at + 1 :]))


class Joiner:
    """Joins datagrams to the segment before them that they continue.

    They do if they differ from it in sequence number and payload only, none of them empty, none
    longer than the first.  A push, an end or a shorter datagram ends the run.
    """

    def __init__(self) -> None:
        self._segment: Segment | None = None
        self._payload: list[Buffer] = []
        self._size: Octets = 0
        self._length: Octets = 0
        self._mark: object = None
        self._prefix = b""
        self._tail = b""
        self._seq = 0
        self._body: Octets = 0

    def finish(self) -> None:
        """Complete the segment that was begun; nothing continues it any more."""
        segment = self._segment
        if segment is None:
            return
        if self._length > self._size:
            segment.payload = tuple(self._payload)
            segment.length = self._length
            segment.segment_size = self._size
        self._segment = None

    def begin(self, octets: bytes, at: int, segment: Segment, mark: object) -> None:
        """Let later datagrams continue `segment`, whose datagram begins at `at` in `octets`.

        Args:
            mark: What they have to have in common beside the header: where they came from.
        """
        self.finish()
        if not segment.length or segment.flags & ~CWR != ACK:
            return
        self._segment = segment
        self._mark = mark
        body = ID_OCTETS + (octets[_FLAGS - 1 + at] >> 4) * 4
        self._prefix = octets[at : at + _SEQ]
        self._tail = _with_flags(octets[at + _ACK : at + body], ACK)
        self._body = body
        self._size = self._length = segment.length
        self._seq = (segment.seq + segment.length) & _MASK32
        self._payload = list(segment.payload)

    def extend(self, octets: bytes, at: int, size: Octets, mark: object) -> int:
        """Join the datagrams that continue the run; return where the first other one begins.

        Args:
            octets: Datagrams of `size` octets, the last one as long or shorter.
            at: Where the first one begins that is to be looked at.
            mark: As for `begin`.
        """
        if self._segment is None or mark != self._mark:
            return at
        total = len(octets)
        if size == self._body + self._size:
            at = self._extend_run(octets, at, (total - at) // size)
        while at < total and self._segment is not None:
            stop = min(at + size, total)
            length = stop - at - self._body
            header = self._prefix + self._seq.to_bytes(4, "big") + self._tail
            if not (0 < length <= self._size and octets.startswith(header, at)):
                return self._end(octets, at, stop)
            self._append(memoryview(octets)[at + self._body : stop], length)
            at = stop
        return at

    def _extend_run(self, octets: bytes, at: int, count: int) -> int:
        """Join as many whole datagrams as there are, if they are one run but for the last one."""
        if count < 2:
            return at
        tail, size = self._tail, self._size
        parts = _datagrams(count, len(tail), size).unpack_from(octets, at)
        tails = parts[2::_PARTS]
        same = tails.count(tail)
        if same == count - 1 and tails[-1] != tail:
            count -= 1
        elif same != count:
            return at
        if parts[1 : count * _PARTS : _PARTS] != _range(count, size, self._seq):
            return at
        if parts[: count * _PARTS : _PARTS].count(self._prefix) != count:
            return at
        pieces = parts[3 : count * _PARTS : _PARTS]
        if len(self._payload) == 1:
            pieces = (self._payload.pop(), *pieces)
        self._append(b"".join(pieces), count * size)
        return at + count * (self._body + size)

    def _append(self, payload: Buffer, length: Octets) -> None:
        """Add payload, which ends the run if it ends with less than a whole datagram."""
        self._payload.append(payload)
        self._seq = (self._seq + length) & _MASK32
        self._length += length
        if length < self._size or self._length > _ENOUGH:
            self.finish()

    def _end(self, octets: bytes, at: int, stop: int) -> int:
        """Join a datagram that ends the run with a push or a FIN; return where the next begins."""
        assert self._segment is not None
        start = at + self._body
        if 0 < stop - start <= self._size:
            flags = octets[at + _FLAGS]
            seq = self._seq.to_bytes(4, "big")
            header = self._prefix + seq + _with_flags(self._tail, flags)
            if flags & ~(PSH | FIN) == ACK and octets.startswith(header, at):
                self._segment.flags |= flags
                self._append(memoryview(octets)[start:stop], stop - start)
                at = stop
        self.finish()
        return at
