"""Segmentation and its inverse on whole packets, for devices without offload.

Handling a segment costs the stack several times what handling its octets does.  So a super-segment
is turned into packets from one header, patched for each, and packets that continue each other are
joined before they are parsed: what the kernel does as GSO and GRO.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from plait.host.output import cut
from plait.units import Octets
from plait.wire.checksum import fold, internet_checksum, ones_sum, sum_each, sum_pieces
from plait.wire.packet import segment_header
from plait.wire.segment import ACK, CWR, FIN, PSH, Buffer, Segment
from plait.wire.tcp import CHECKSUM_OFFSET, PROTOCOL, checksum_ok, pseudo_sum, tcp_header

_MASK32: Final = 0xFFFF_FFFF

# Where fields are in a TCP header (RFC 9293, 3.1).
_SEQ: Final = slice(4, 8)
_FLAGS: Final = 13
_CHECKSUM: Final = slice(CHECKSUM_OFFSET, CHECKSUM_OFFSET + 2)

_V4: Final = 20
_V6: Final = 40
_V4_WITHOUT_OPTIONS: Final = 0x45


def packets(segment: Segment) -> Iterator[list[Buffer]]:
    """Yield each packet of a super-segment: its headers, checksums complete, then its payload.

    The packets are those of `host.output.split`.
    """
    flow = segment.flow
    size = segment.segment_size
    last_flags = segment.flags & (FIN | PSH)
    flags = segment.flags & ~last_flags
    header = bytearray(tcp_header(segment))
    header[_SEQ] = bytes(4)
    header[_FLAGS] = 0
    fixed = ones_sum(memoryview(header)) + pseudo_sum(flow, len(header))
    full = segment_header(segment, len(header) + size)
    seq = segment.seq
    left = segment.length
    sums = _sums(segment.payload, size)
    for payload, length in cut(segment.payload, size):
        left -= length
        if not left:
            flags |= last_flags
        header[_SEQ] = seq.to_bytes(4, "big")
        header[_FLAGS] = flags
        checksum = ~fold(fixed + seq + flags + length + next(sums)) & 0xFFFF
        header[_CHECKSUM] = checksum.to_bytes(2, "big")
        ip = full if length == size else segment_header(segment, len(header) + length)
        yield [ip + header, *payload]
        seq = (seq + length) & _MASK32
        flags &= ~CWR


def _sums(payload: tuple[Buffer, ...], size: Octets) -> Iterator[int]:
    """Return the checksum sums of the pieces that `cut` makes."""
    if len(payload) == 1:
        return iter(sum_each(payload[0], size))
    return (sum_pieces(piece) for piece, _ in cut(payload, size))


class Growing:
    """A segment that later packets continue: it becomes a super-segment when no more do."""

    def __init__(self) -> None:
        self._segment: Segment | None = None
        self._payload: list[Buffer] = []
        self._size: Octets = 0
        self._length: Octets = 0

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


class Merger(Growing):
    """Joins packets to the segment before them that they continue.

    They do if they differ from it in sequence number and payload only: same addresses, ports,
    acknowledgment, window and options, none of them empty, none longer than the first.  A push or
    a shorter packet ends a super-segment.
    """

    def __init__(self) -> None:
        super().__init__()
        self._head: bytes = b""  # the packet that `_segment` was parsed from
        self._ip: Octets = 0

    def begin(self, packet: bytes, segment: Segment) -> None:
        """Let later packets continue `segment`, which was parsed from `packet`, if they can."""
        self.finish()
        if segment.length and segment.flags == ACK:
            ip = _ip_octets(packet)
            if ip:
                self._segment = segment
                self._head = packet
                self._ip = ip
                self._payload = list(segment.payload)
                self._size = self._length = segment.length

    def extend(self, packet: bytes, *, checksum_valid: bool = False) -> bool:
        """Join `packet` to the segment that was begun; return whether it continues it.

        Args:
            checksum_valid: The TCP checksum needs no check.
        """
        segment = self._segment
        if segment is None:
            return False
        start = len(self._head) - self._size
        length = len(packet) - start
        if not (0 < length <= self._size and self._continues(packet, start)):
            return False
        ip = self._ip
        if not checksum_valid and not checksum_ok(segment.flow, memoryview(packet)[ip:]):
            return False  # parsing it will count it
        self._payload.append(memoryview(packet)[start:])
        self._length += length
        segment.flags |= packet[ip + _FLAGS]
        if length < self._size or segment.flags & PSH:
            self.finish()
        return True

    def _continues(self, packet: bytes, start: Octets) -> bool:
        """Return whether the headers differ as those of one super-segment do."""
        head = self._head
        ip = self._ip
        assert self._segment is not None
        seq = (self._segment.seq + self._length) & _MASK32
        return (
            packet[ip + 4 : ip + 8] == seq.to_bytes(4, "big")
            and packet[ip + 8 : ip + 13] == head[ip + 8 : ip + 13]
            and packet[ip + 13] & ~PSH == ACK
            and packet[ip + 14 : ip + 16] == head[ip + 14 : ip + 16]
            and packet[ip + 18 : start] == head[ip + 18 : start]
            and (_same_v4(packet, head) if ip == _V4 else _same_v6(packet, head))
        )


def _ip_octets(packet: bytes) -> Octets:
    """Return the octets of an IP header that holds TCP and nothing else, or 0."""
    if packet[0] == _V4_WITHOUT_OPTIONS:
        return _V4
    return _V6 if packet[0] >> 4 == 6 and packet[6] == PROTOCOL else 0


def _same_v4(packet: bytes, head: bytes) -> bool:
    """Compare all but length, identification and checksum; ports included, the checksum right."""
    return (
        packet[12:24] == head[12:24]
        and packet[:2] == head[:2]
        and packet[6:10] == head[6:10]
        and int.from_bytes(packet[2:4], "big") == len(packet)
        and internet_checksum((packet[:_V4],)) == 0
    )


def _same_v6(packet: bytes, head: bytes) -> bool:
    """Compare all but the length; ports included."""
    return (
        packet[6:44] == head[6:44]
        and packet[:4] == head[:4]
        and int.from_bytes(packet[4:6], "big") == len(packet) - _V6
    )
