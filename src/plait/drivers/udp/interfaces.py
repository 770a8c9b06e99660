"""Interfaces of this machine: which one has an address, and how large packets it takes.

Linux tells anybody; elsewhere nothing is known.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from plait.addresses import IpAddress
from plait.units import Octets

try:
    from fcntl import ioctl
except ImportError:  # a system without
    ioctl = None  # type: ignore[assignment]  # asked for before each use

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
