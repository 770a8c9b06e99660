"""IPv4 headers (RFC 791, 3.1)."""

from __future__ import annotations

import struct
from typing import Final

from plait.errors import DecodeError, UsageError
from plait.wire.segment import TTL, Buffer

HEADER_OCTETS: Final = 20
"""Octets of the header plait sends: no options."""

MAX_PACKET: Final = 65_535

_HEADER: Final = struct.Struct("!BBHHHBBH8s")
_PREFIX: Final = struct.Struct("!BBHHHBB")
VERSION_AND_LENGTH: Final = 0x45
"""The first octet of a header without options."""

DONT_FRAGMENT: Final = 0x4000
FRAGMENT: Final = 0x3FFF
"""More fragments, and the fragment offset."""


def parse_ipv4(octets: Buffer) -> tuple[int, int, int, int]:
    """Return protocol, where its header starts, where the packet ends, and the ECN field.

    Octets after the packet's total length, such as Ethernet padding, are not part of it.  Raises
    DecodeError for damaged headers, packets cut short, and fragments.
    """
    if len(octets) < HEADER_OCTETS:
        raise DecodeError("an IPv4 header is at least 20 octets", 0)
    first, tos, total, _, fragment, _, protocol = _PREFIX.unpack_from(octets)
    start = (first & 0x0F) * 4
    if first >> 4 != 4 or start < HEADER_OCTETS:
        raise DecodeError("not an IPv4 header", 0)
    if not start <= total <= len(octets):
        raise DecodeError(f"IPv4 total length {total} of {len(octets)} octets", 2)
    if fragment & FRAGMENT:
        raise DecodeError("an IPv4 fragment", 6)
    if int.from_bytes(octets[:start], "big") % 0xFFFF:
        raise DecodeError("wrong IPv4 header checksum", 10)
    return protocol, start, total, tos & 3


def ipv4_header(
    addresses: bytes, length: int, protocol: int, tos: int, ttl: int = TTL, identification: int = 0
) -> bytes:
    """Return a header of 20 octets: do not fragment.

    Args:
        addresses: Source, then destination, 8 octets.
        length: Octets after the header.
        protocol: Of what follows.
        tos: Type of service, ECN bits included.
        ttl: Time to live.
        identification: May stay zero, as nothing is ever fragmented (RFC 6864, 4.1).
    """
    total = HEADER_OCTETS + length
    if total > MAX_PACKET:
        raise UsageError(f"IPv4 packets have at most {MAX_PACKET} octets, not {total}")
    words = (
        (VERSION_AND_LENGTH << 8 | tos)
        + total
        + identification
        + DONT_FRAGMENT
        + (ttl << 8 | protocol)
        + int.from_bytes(addresses, "big")
    )
    return _HEADER.pack(
        VERSION_AND_LENGTH,
        tos,
        total,
        identification,
        DONT_FRAGMENT,
        ttl,
        protocol,
        -words % 0xFFFF,
        addresses,
    )
