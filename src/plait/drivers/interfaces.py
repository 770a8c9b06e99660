"""Interfaces of this machine: which one has an address, and how large packets it takes.

Linux tells anybody; elsewhere nothing is known.  What an interface does not take a stack hears of
as if a router had said so.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from plait.addresses import V4_FLOW, IpAddress
from plait.units import Octets
from plait.wire import icmp
from plait.wire.icmp import IcmpError
from plait.wire.segment import Segment

try:
    from fcntl import ioctl
except ImportError:  # a system without
    ioctl = None  # type: ignore[assignment]  # asked for before each use

LEAST_MTU: Final[Octets] = 1280
"""Tried where a packet was too big and nobody tells what would fit."""

# linux/sockios.h
_SIOCGIFADDR: Final = 0x8915
_SIOCGIFMTU: Final = 0x8921

_IFREQ: Final = struct.Struct("16s24x")
_NAME_OCTETS: Final = 16
_ADDRESS: Final = slice(20, 24)
_V6_ADDRESSES: Final = Path("/proc/thread-self/net/if_inet6")


def interface_mtu(name: str) -> Octets | None:
    """Return the octets of the largest packet of an interface, None if nobody tells."""
    answer = _ask(name, _SIOCGIFMTU)
    return None if answer is None else int(struct.unpack_from("=i", answer, _NAME_OCTETS)[0])


def interface_of(address: IpAddress) -> str | None:
    """Return the interface that has an address, None if none is known to."""
    if isinstance(address, IPv6Address):
        return _of_v6(address)
    for _, name in socket.if_nameindex():
        answer = _ask(name, _SIOCGIFADDR)
        if answer is not None and answer[_ADDRESS] == address.packed:
            return name
    return None


def too_big(segment: Segment, mtu: Octets) -> IcmpError:
    """Return the error of a router for a segment that does not fit."""
    v4 = len(segment.flow) == V4_FLOW
    return IcmpError(
        version=4 if v4 else 6,
        type=icmp.DESTINATION_UNREACHABLE if v4 else icmp.PACKET_TOO_BIG_V6,
        code=icmp.FRAGMENTATION_NEEDED if v4 else 0,
        mtu=mtu,
        flow=segment.flow,
        seq=segment.seq,
    )


def _of_v6(address: IPv6Address) -> str | None:
    with suppress(OSError):  # no such file: not Linux, or no IPv6
        for line in _V6_ADDRESSES.read_text(encoding="ascii").splitlines():
            words = line.split()
            if bytes.fromhex(words[0]) == address.packed:
                return words[-1]
    return None


def _ask(name: str, request: int) -> bytes | None:
    """Return what the kernel says about an interface, None if it says nothing."""
    if ioctl is None:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            return ioctl(asking, request, _IFREQ.pack(name.encode()[: _NAME_OCTETS - 1]))
        except OSError:
            return None
