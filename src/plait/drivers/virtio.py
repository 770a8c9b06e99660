"""The virtio-net header that stands before each packet of a device with offload.

Ten octets in the byte order of the machine, `struct virtio_net_hdr` of the virtio specification:
flags, GSO type, header length, GSO size, checksum start and checksum offset.
"""

from __future__ import annotations

import struct
from typing import Final

from plait.addresses import V4_FLOW
from plait.units import Octets
from plait.wire.segment import CWR, Segment

HEADER_OCTETS: Final = 10

NO_HEADER: Final = bytes(HEADER_OCTETS)
"""One that asks for nothing."""

NEEDS_CSUM: Final = 1
"""Flag: the checksum field holds the pseudo-header's sum only."""

DATA_VALID: Final = 2
"""Flag: the checksum was verified."""

GSO_NONE: Final = 0
GSO_TCPV4: Final = 1
GSO_TCPV6: Final = 4
GSO_ECN: Final = 0x80
"""Bit of the GSO type: only the first piece keeps CWR (RFC 3168, 6.1.2)."""

_FORM: Final = struct.Struct("=BBHHHH")
_TCP_CHECKSUM_OFFSET: Final = 16
_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40


def encode(segment: Segment, header_length: Octets, before: Octets = 0) -> bytes:
    """Return the header for a packet whose TCP checksum is left to the receiver of the packet.

    Args:
        segment: What the packet holds; a super-segment is to be cut at its `segment_size`.
        header_length: All headers together.
        before: Of these, the octets before the IP header.
    """
    v4 = len(segment.flow) == V4_FLOW
    start = before + (_IPV4_HEADER if v4 else _IPV6_HEADER)
    size = segment.segment_size
    if not 0 < size < segment.length:
        return _FORM.pack(NEEDS_CSUM, GSO_NONE, header_length, 0, start, _TCP_CHECKSUM_OFFSET)
    kind = GSO_TCPV4 if v4 else GSO_TCPV6
    if segment.flags & CWR:
        kind |= GSO_ECN
    return _FORM.pack(NEEDS_CSUM, kind, header_length, size, start, _TCP_CHECKSUM_OFFSET)


def decode(packet: bytes) -> tuple[bool, Octets]:
    """Return whether the TCP checksum needs no check, and the piece size of a super-segment or 0.

    Args:
        packet: What was read from the device, at least `HEADER_OCTETS` long.
    """
    flags, kind, _, size, _, _ = _FORM.unpack_from(packet)
    return flags & (NEEDS_CSUM | DATA_VALID) != 0, size if kind != GSO_NONE else 0
