"""Segmentation on whole packets, for devices without offload: what the kernel does as GSO.

Handling a segment costs the stack several times what handling its octets does.  So a super-segment
is turned into packets from one header, in which a few fields change.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from plait.wire.checksum import fold, ones_sum, sum_each
from plait.wire.packet import segment_header
from plait.wire.segment import CWR, FIN, PSH, Buffer, Segment
from plait.wire.tcp import CHECKSUM_OFFSET, pseudo_sum, tcp_header

_MASK32: Final = 0xFFFF_FFFF

# Where fields are in a TCP header (RFC 9293, 3.1).
_SEQ: Final = 4
_ACK: Final = 8
_FLAGS: Final = 13
_WINDOW: Final = 14


def packets(segment: Segment) -> Iterator[list[Buffer]]:
    """Yield each packet of a super-segment: its headers, checksums complete, then its payload.

    The packets are those of `host.output.split`.
    """
    size = segment.segment_size
    payload = segment.payload[0] if len(segment.payload) == 1 else b"".join(segment.payload)
    view = memoryview(payload)
    pieces = [view[at : at + size] for at in range(0, segment.length, size)]
    header = tcp_header(segment)
    changing = (segment.seq >> 16) + (segment.seq & 0xFFFF) + segment.flags
    fixed = ones_sum(header) - changing + pseudo_sum(segment.flow, len(header))
    front, ack, window = header[:_SEQ], header[_ACK:_FLAGS], header[_WINDOW:CHECKSUM_OFFSET]
    rest = header[CHECKSUM_OFFSET + 2 :]
    ip = segment_header(segment, len(header) + size)
    pack = struct.Struct(f"!{len(ip)}s4sI5sB2sH{len(rest)}s").pack
    seq = segment.seq
    flags = segment.flags & ~(FIN | PSH)
    last = len(pieces) - 1
    for number, octets in enumerate(sum_each(payload, size)):
        piece = pieces[number]
        if number == last:
            flags |= segment.flags & (FIN | PSH)
            ip = segment_header(segment, len(header) + len(piece))
        checksum = ~fold(fixed + seq + flags + len(piece) + octets) & 0xFFFF
        yield [pack(ip, front, seq, ack, flags, window, checksum, rest), piece]
        seq = (seq + size) & _MASK32
        flags &= ~CWR
