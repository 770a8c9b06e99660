"""IPv6 headers (RFC 8200, 3 and 4)."""

from __future__ import annotations

import struct
from typing import Final

from plait.errors import DecodeError, UsageError
from plait.wire.segment import TTL, Buffer

HEADER_OCTETS: Final = 40
MAX_PAYLOAD: Final = 65_535
"""Octets after the fixed header, without jumbograms."""

_HEADER: Final = struct.Struct("!IHBB32s")
_PREFIX: Final = struct.Struct("!IHB")

_HOP_BY_HOP: Final = 0
_ROUTING: Final = 43
_FRAGMENT: Final = 44
_AUTHENTICATION: Final = 51
_DESTINATION_OPTIONS: Final = 60
_EXTENSIONS: Final = frozenset({_HOP_BY_HOP, _ROUTING, _AUTHENTICATION, _DESTINATION_OPTIONS})

_MAX_EXTENSIONS: Final = 8
"""Extension headers followed before a packet is given up; real ones have one or two."""


def parse_ipv6(octets: Buffer) -> tuple[int, int, int, int]:
    """Return protocol, where its header starts, where the packet ends, and the ECN field.

    Extension headers are skipped.  Raises DecodeError for damaged headers, packets cut short,
    and fragments.
    """
    if len(octets) < HEADER_OCTETS:
        raise DecodeError("an IPv6 header is 40 octets", 0)
    first, length, protocol = _PREFIX.unpack_from(octets)
    if first >> 28 != 6:
        raise DecodeError("not an IPv6 header", 0)
    stop = HEADER_OCTETS + length
    if stop > len(octets):
        raise DecodeError(f"IPv6 payload length {length} in {len(octets)} octets", 4)
    start = HEADER_OCTETS
    if protocol in _EXTENSIONS or protocol == _FRAGMENT:
        protocol, start = _skip_extensions(octets, protocol, stop)
    return protocol, start, stop, first >> 20 & 3


def _skip_extensions(octets: Buffer, protocol: int, stop: int) -> tuple[int, int]:
    """Return the protocol after the extension headers and where its header starts."""
    start = HEADER_OCTETS
    for _ in range(_MAX_EXTENSIONS):
        if protocol == _FRAGMENT:
            raise DecodeError("an IPv6 fragment", start)
        if protocol not in _EXTENSIONS:
            return protocol, start
        if start + 8 > stop:
            raise DecodeError("IPv6 extension header cut short", start)
        following, units = octets[start], octets[start + 1]
        # The authentication header alone counts 4-octet units (RFC 4302, 2.2).
        start += (units + 2) * 4 if protocol == _AUTHENTICATION else (units + 1) * 8
        if start > stop:
            raise DecodeError("IPv6 extension header runs past the packet", stop)
        protocol = following
    raise DecodeError("too many IPv6 extension headers", start)


def ipv6_header(
    addresses: bytes, length: int, protocol: int, traffic_class: int, hop_limit: int = TTL
) -> bytes:
    """Return a header of 40 octets: no flow label.

    Args:
        addresses: Source, then destination, 32 octets.
        length: Octets after the header.
        protocol: Of what follows.
        traffic_class: ECN bits included.
        hop_limit: As its name says.
    """
    if length > MAX_PAYLOAD:
        raise UsageError(f"IPv6 packets carry at most {MAX_PAYLOAD} octets, not {length}")
    return _HEADER.pack(6 << 28 | traffic_class << 20, length, protocol, hop_limit, addresses)
