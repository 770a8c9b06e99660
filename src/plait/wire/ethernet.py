"""Ethernet frames: where they go, where they are from, what they hold (RFC 894, RFC 2464)."""

from __future__ import annotations

import struct
from typing import Final

from plait.errors import DecodeError
from plait.wire.segment import Buffer

HEADER_OCTETS: Final = 14
MAC_OCTETS: Final = 6

IPV4: Final = 0x0800
ARP: Final = 0x0806
IPV6: Final = 0x86DD

BROADCAST: Final = b"\xff" * MAC_OCTETS

_HEADER: Final = struct.Struct("!6s6sH")
_MULTICAST_V6: Final = b"\x33\x33"
_GROUP: Final = 0x01


def ethernet_header(destination: bytes, source: bytes, kind: int) -> bytes:
    """Return the 14 octets before what a frame holds.

    Args:
        destination: Address of 6 octets, like `source`.
        kind: `IPV4`, `ARP` or `IPV6`.
    """
    return _HEADER.pack(destination, source, kind)


def parse_ethernet(frame: Buffer) -> tuple[bytes, bytes, int]:
    """Return destination, source and what the frame holds.  Raises DecodeError if it is short."""
    if len(frame) < HEADER_OCTETS:
        raise DecodeError("an Ethernet header is 14 octets", 0)
    destination, source, kind = _HEADER.unpack_from(frame)
    return destination, source, kind


def group_address(address: bytes) -> bytes:
    """Return the Ethernet address of an IPv6 group (RFC 2464, 7).

    Args:
        address: The group's 16 octets.
    """
    return _MULTICAST_V6 + address[-4:]


def is_group(address: bytes) -> bool:
    """Return whether an Ethernet address is no single station's."""
    return address[0] & _GROUP != 0 or not any(address)


def show(address: bytes) -> str:
    """Return an Ethernet address as people write it."""
    return address.hex(":")
