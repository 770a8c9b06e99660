"""Segmentation in software, for links and drivers that carry no super-segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from plait.units import Octets
from plait.wire.segment import CWR, FIN, PSH, Buffer, Segment, piece_of

_MASK32: Final = 0xFFFF_FFFF


def split(segment: Segment) -> list[Segment]:
    """Cut a super-segment into the plain segments that TSO would make of it.

    Every piece repeats the options; FIN and PSH stay on the last piece and CWR on the first
    (RFC 3168, 6.1.2).  Payload is sliced, not copied.  A plain segment is its own only piece.
    """
    size = segment.segment_size
    if size <= 0 or segment.length <= size:
        return [segment]
    flags = segment.flags & ~(FIN | PSH)
    seq = segment.seq
    pieces = []
    for payload, length in cut(segment.payload, size):
        pieces.append(piece_of(segment, seq, flags, payload, length))
        seq = (seq + length) & _MASK32
        flags &= ~CWR
    pieces[-1].flags |= segment.flags & (FIN | PSH)
    return pieces


def cut(payload: tuple[Buffer, ...], size: Octets) -> Iterator[tuple[tuple[Buffer, ...], Octets]]:
    """Yield runs of `size` octets of `payload`, and what is left last, each with its length."""
    gathered: tuple[Buffer, ...] = ()
    room = size
    for buffer in payload:
        view = memoryview(buffer)
        length = len(view)
        at = 0
        while length - at >= room:
            yield (*gathered, view[at : at + room]), size
            at += room
            gathered = ()
            room = size
        if at < length:
            gathered = (*gathered, view[at:])
            room -= length - at
    if gathered:
        yield gathered, size - room
