"""Socket addresses: what Python calls them, the octets of C, and address and port of either.

An IPv4 address mapped into IPv6 is always taken for what it is.
"""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, TypeAlias

from plait.addresses import IpAddress, unmapped

Destination: TypeAlias = tuple[IpAddress, int]
"""Address and port."""

_V4: Final = struct.Struct("=H2s4s8x")
_V6: Final = struct.Struct("=H2s4x16s4x")
"""struct sockaddr_in and sockaddr_in6 of <netinet/in.h>."""

_MAPPED: Final = bytes(10) + b"\xff\xff"
_ANY: Final = IPv4Address(0)


def parse_sockaddr(octets: bytes) -> Destination | None:
    """Return address and port of a struct sockaddr_in or sockaddr_in6, None of anything else."""
    family = int.from_bytes(octets[:2], sys.byteorder)
    port = int.from_bytes(octets[2:4], "big")
    if family == socket.AF_INET and len(octets) >= 8:
        return IPv4Address(octets[4:8]), port
    if family == socket.AF_INET6 and len(octets) >= 24:
        return unmapped(IPv6Address(octets[8:24])), port
    return None


def pack_sockaddr(family: int, destination: Destination) -> bytes:
    """Return a struct sockaddr_in, or for AF_INET6 a sockaddr_in6."""
    address, port = destination
    at = port.to_bytes(2, "big")
    if family == socket.AF_INET:
        return _V4.pack(family, at, (address if address.version == 4 else _ANY).packed)
    return _V6.pack(
        family, at, address.packed if address.version == 6 else _MAPPED + address.packed
    )


def destination_of(name: Any) -> Destination:
    """Return what `getsockname` and its like return as address and port."""
    return unmapped(ip_address(str(name[0]).partition("%")[0])), int(name[1])
