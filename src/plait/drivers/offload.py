"""Packets with a virtio-net header, whole in both directions: what TUN and packet sockets share."""

from __future__ import annotations

from typing import Final

from plait.drivers.virtio import HEADER_OCTETS, decode, encode
from plait.errors import DecodeError
from plait.units import Octets
from plait.wire.packet import Packet, headers, parse_packet
from plait.wire.segment import Buffer, Segment, piece_of

READ_OCTETS: Final = HEADER_OCTETS + 65_535
"""The most that one read of a TUN device returns."""

_MAX_PIECES: Final = 1024
"""IOV_MAX of Linux."""


def parse_whole(octets: bytes, before: Octets = 0) -> Packet:
    """Decode what one read returned: a segment, super-segments included, or an ICMP error.

    Args:
        before: Octets between the virtio-net header and the IP header.

    Raises:
        DecodeError: It is something else, or damaged.
    """
    if len(octets) < HEADER_OCTETS:
        raise DecodeError("a virtio-net header is 10 octets")
    trusted, size = decode(octets)
    packet = memoryview(octets)[HEADER_OCTETS + before :]
    parsed = parse_packet(packet, checksum_valid=trusted)
    if isinstance(parsed, Segment) and 0 < size < parsed.length:
        parsed.segment_size = size
    return parsed


def whole(segment: Segment, link: bytes = b"") -> list[Buffer]:
    """Return what `writev` takes: all headers in one piece, then the payload, not copied.

    Args:
        link: What stands before the IP header.
    """
    head = link + headers(segment)
    head = encode(segment, len(head), len(link)) + head
    payload = segment.payload
    if len(payload) < _MAX_PIECES:
        return [head, *payload]
    return [head, b"".join(payload)]


def cut(segment: Segment, mtu: Octets) -> Segment:
    """Return a segment as a super-segment whose pieces fit an MTU, or itself if it does."""
    room = mtu - len(headers(segment))
    if (segment.segment_size or segment.length) <= room:
        return segment
    smaller = piece_of(segment, segment.seq, segment.flags, segment.payload, segment.length)
    smaller.segment_size = room
    return smaller
