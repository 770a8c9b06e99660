"""The inverse of segmentation on whole packets, for devices without offload: what GRO does.

Handling a segment costs the stack several times what handling its octets does, and so does parsing
one.  So the packets of a burst are compared with what continues the first of them, all of them
field by field, and only the first is parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from plait.errors import DecodeError
from plait.units import Octets
from plait.wire.checksum import internet_checksum, ones_sum, sum_each
from plait.wire.icmp import IcmpError
from plait.wire.packet import parse_packet
from plait.wire.segment import ACK, PSH, Buffer, Segment
from plait.wire.tcp import PROTOCOL, checksum_ok, pseudo_sum

_MASK32: Final = 0xFFFF_FFFF

_FLAGS: Final = 13
"""Where they are in a TCP header (RFC 9293, 3.1)."""

_V4: Final = 20
_V6: Final = 40
_V4_WITHOUT_OPTIONS: Final = 0x45

_FORMS: Final = 256
"""Shapes of runs that are remembered: making one costs more than using it."""


def merge(
    packets: Sequence[bytes],
    segments: list[Segment],
    errors: list[IcmpError],
    *,
    checksum_valid: bool = False,
) -> int:
    """Parse the packets of a burst and return how many were malformed.

    Packets become one super-segment if they differ in sequence number and payload only: same
    addresses, ports, acknowledgment, window and options, none of them empty, none longer than the
    first.  A push or a shorter packet ends it.

    Args:
        packets: IP packets, in order.
        segments: Gets the segments.
        errors: Gets the ICMP errors.
        checksum_valid: The TCP checksums need no check.
    """
    malformed = at = 0
    while at < len(packets):
        head = packets[at]
        at += 1
        try:
            parsed = parse_packet(head, checksum_valid=checksum_valid)
        except DecodeError:
            malformed += 1
            continue
        if isinstance(parsed, Segment):
            segments.append(parsed)
            if at < len(packets) and parsed.length and parsed.flags == ACK:
                ip = _ip_octets(head)
                if ip:
                    at = _Run(head, ip, parsed, checksum_valid).extend(packets, at)
        else:
            errors.append(parsed)
    return malformed


class _Run:
    """Packets that continue the one which `segment` was parsed from."""

    def __init__(self, head: bytes, ip: Octets, segment: Segment, checksum_valid: bool) -> None:
        self._head = head
        self._ip = ip
        self._segment = segment
        self._trusted = checksum_valid
        self._size = segment.length
        self._start = len(head) - segment.length
        self._length = segment.length
        self._payload: list[Buffer] = []

    def extend(self, packets: Sequence[bytes], at: int) -> int:
        """Add packets from `at` on to the segment; return where the first other one is."""
        if self._continues(packets[at]):
            alike = self._alike(packets, at)
            if alike > at:
                at += self._take(packets[at:alike])
            if at < len(packets):
                at += self._take_last(packets[at])
        if self._payload:
            segment = self._segment
            segment.payload = (*segment.payload, b"".join(self._payload))
            segment.length = self._length
            segment.segment_size = self._size
        return at

    def _alike(self, packets: Sequence[bytes], at: int) -> int:
        """Return where, from `at` on, the first packet is that has another length or pushes."""
        flags = self._ip + _FLAGS
        length = len(self._head)
        for number in range(at, len(packets)):
            if len(packets[number]) != length or packets[number][flags] != ACK:
                return number
        return len(packets)

    def _take(self, packets: Sequence[bytes]) -> int:
        """Add packets as long as the first one while they continue the run; return how many."""
        joined = b"".join(packets)
        options = self._start - self._ip - 20
        parts = _form(len(packets), self._ip, options, self._size).unpack(joined)
        model = _form(1, self._ip, options, self._size).unpack(self._head)
        width = len(model)
        good = len(packets)
        seq = width - 4
        v4 = self._ip == _V4
        for column in (0, 2, 4, 6, 7) if v4 else (0, 2, 3):
            good = min(good, _agreeing(parts[column::width], model[column]))
        good = min(good, self._ascending(parts[seq::width]))
        if v4:
            good = min(good, _checked(parts[1::width], parts[3::width], model[1] + model[3]))
        if not self._trusted:
            good = min(good, self._summed(joined))
        self._payload += parts[width - 1 : good * width : width]
        self._length += good * self._size
        return good

    def _ascending(self, column: Sequence[int]) -> int:
        """Return how many sequence numbers are each `size` above the one before."""
        wanted = self._segment.seq + self._length
        for number, seq in enumerate(column):
            if seq != wanted & _MASK32:
                return number
            wanted += self._size
        return len(column)

    def _summed(self, joined: bytes) -> int:
        """Return how many packets have the right TCP checksum."""
        outside = ones_sum(self._head[: self._ip])  # in which all others sum to as much
        rest = pseudo_sum(self._segment.flow, len(self._head) - self._ip) - outside
        sums = sum_each(joined, len(self._head))
        for number, total in enumerate(sums):
            if (total + rest) % 0xFFFF:
                return number
        return len(sums)

    def _take_last(self, packet: bytes) -> int:
        """Add a packet that may be shorter or push; return 1 if it continues the run, else 0."""
        if not self._continues(packet):
            return 0
        if not self._trusted and not checksum_ok(self._segment.flow, packet[self._ip :]):
            return 0  # parsing it will count it
        self._payload.append(memoryview(packet)[self._start :])
        self._length += len(packet) - self._start
        self._segment.flags |= packet[self._ip + _FLAGS]
        return 1

    def _continues(self, packet: bytes) -> bool:
        """Return whether the headers differ as those of one super-segment do."""
        head, ip, start = self._head, self._ip, self._start
        seq = (self._segment.seq + self._length) & _MASK32
        return (
            start < len(packet) <= len(head)
            and packet[ip + 4 : ip + 8] == seq.to_bytes(4, "big")
            and packet[ip + 8 : ip + 13] == head[ip + 8 : ip + 13]
            and packet[ip + _FLAGS] & ~PSH == ACK
            and packet[ip + 14 : ip + 16] == head[ip + 14 : ip + 16]
            and packet[ip + 18 : start] == head[ip + 18 : start]
            and (_same_v4(packet, head) if ip == _V4 else _same_v6(packet, head))
        )


@lru_cache(_FORMS)
def _form(count: int, ip: Octets, options: Octets, size: Octets) -> struct.Struct:
    """Return the form of `count` packets: what stays in pieces, and what changes between them.

    That is IPv4's identification and checksum; the sequence number; the checksum of TCP, which is
    summed and not looked at; and the payload.  Of what stays, acknowledgment, flags and window are
    one piece, urgent pointer and options another.
    """
    before = "4sH4sH12s" if ip == _V4 else "44s"
    return struct.Struct("!" + f"{before}I8s2x{options + 2}s{size}s" * count)


def _agreeing(column: Sequence[Any], wanted: Any) -> int:
    """Return how many fields are what they should be, up to the first that is not."""
    if column.count(wanted) == len(column):
        return len(column)
    at = 0
    while column[at] == wanted:
        at += 1
    return at


def _checked(identifications: Sequence[int], checksums: Sequence[int], total: int) -> int:
    """Return how many checksums of IPv4 are right, where the rest of the headers is the same."""
    for number, identification in enumerate(identifications):
        if (identification + checksums[number] - total) % 0xFFFF:
            return number
    return len(checksums)


def _ip_octets(packet: bytes) -> Octets:
    """Return the octets of an IP header that holds TCP and nothing else up to the end, or 0."""
    if packet[0] == _V4_WITHOUT_OPTIONS:
        return _V4 if int.from_bytes(packet[2:4], "big") == len(packet) else 0
    if packet[0] >> 4 == 6 and packet[6] == PROTOCOL:
        return _V6 if int.from_bytes(packet[4:6], "big") == len(packet) - _V6 else 0
    return 0


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
