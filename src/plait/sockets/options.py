"""Socket options for Multipath TCP: numbers, and the octets that programs pass with them.

RFC 6897, 5.3 names five options and leaves their numbers open; ours are larger than any that a
kernel has.  draft-hesmans-mptcp-socket has the numbers of the first Multipath TCP for Linux.  All
are at level IPPROTO_TCP.  `Socket.connection` offers the same as typed methods.

The draft's options are asked with a request that the answer overwrites.  So `getsockopt` takes
octets in place of a length: they are the request, and their number is the room for the answer.
The structures are C's; what they point to in C follows them here.
"""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from plait.addresses import IpAddress
from plait.aio.connection import Subflow
from plait.linux.families import family_of
from plait.linux.sockaddr import pack_sockaddr
from plait.sockets.errors import invalid

TCP_MULTIPATH_ENABLE: Final = 0x689701
"""Whether Multipath TCP is wanted, or in use; an int."""

TCP_MULTIPATH_ADD: Final = 0x689702
"""Addresses to use, one struct sockaddr after the other; set only."""

TCP_MULTIPATH_REMOVE: Final = 0x689703
"""Addresses to use no more, likewise."""

TCP_MULTIPATH_SUBFLOWS: Final = 0x689704
"""Local and remote struct sockaddr of each subflow; get only."""

TCP_MULTIPATH_CONNID: Final = 0x689705
"""A number that no other connection has; get only."""

MPTCP_GET_SUB_IDS: Final = 66
"""Answers with struct mptcp_sub_ids: see `pack_ids`."""

MPTCP_CLOSE_SUB_ID: Final = 67
"""Asked with the id and how to close, 0 by FIN and 1 by RST, an octet each."""

MPTCP_GET_SUB_TUPLE: Final = 68
"""Asked with the id; answers with the id, the local and the remote struct sockaddr."""

MPTCP_OPEN_SUB_TUPLE: Final = 69
"""Asked with the same, the id of no meaning and wildcards for what the stack may choose; answers
with the id of the new subflow before them."""

MPTCP_SUB_GETSOCKOPT: Final = 71
"""Asked with `SUB_OPTION`; answers with the value."""

MPTCP_SUB_SETSOCKOPT: Final = 72
"""Set to `SUB_OPTION` and the value."""

SUB_OPTION: Final = struct.Struct("=B3xii")
"""Id of a subflow, level and number of its option."""

FULLY_ESTABLISHED: Final = 1 << 1
ATTACHED: Final = 1 << 2
LOW_PRIO: Final = 1 << 3
PRE_ESTABLISHED: Final = 1 << 4
"""Flags of struct mptcp_sub_status; the lowest, `slave_sk`, is an affair of the kernel's."""

_COUNT: Final = struct.Struct("=Bx")
_STATUS: Final = struct.Struct("=BxH")
_V4: Final = struct.Struct("=H2s4s8x")
_V6: Final = struct.Struct("=H2s4x16s4x")
_LAYOUTS: Final[dict[int, struct.Struct]] = {socket.AF_INET: _V4, socket.AF_INET6: _V6}


@dataclass(frozen=True, slots=True)
class SubflowStatus:
    """One entry of struct mptcp_sub_ids."""

    id: int
    flags: int


def pack_address(address: IpAddress, port: int = 0) -> bytes:
    """Return a struct sockaddr_in or sockaddr_in6."""
    return pack_sockaddr(family_of(address), (address, port))


def unpack_addresses(octets: bytes) -> list[tuple[IpAddress, int]]:
    """Return addresses and ports of the structures, whatever their families.

    Raises OSError with EINVAL if the last is cut or of another family.
    """
    found: list[tuple[IpAddress, int]] = []
    while octets:
        family = int.from_bytes(octets[:2], sys.byteorder)
        layout = _LAYOUTS.get(family)
        if layout is None or len(octets) < layout.size:
            raise invalid("this is no struct sockaddr_in or sockaddr_in6")
        _, port, address = layout.unpack_from(octets)
        made = IPv4Address(address) if layout is _V4 else IPv6Address(address)
        found.append((made, int.from_bytes(port)))
        octets = octets[layout.size :]
    return found


def pack_ids(subflows: tuple[Subflow, ...]) -> bytes:
    """Return struct mptcp_sub_ids: their count, then id and flags of each."""
    entries = (_STATUS.pack(one.id, _flags(one)) for one in subflows)
    return _COUNT.pack(len(subflows)) + b"".join(entries)


def unpack_ids(octets: bytes) -> list[SubflowStatus]:
    """Return the entries of struct mptcp_sub_ids."""
    (count,) = _COUNT.unpack_from(octets)
    entries = _STATUS.iter_unpack(octets[_COUNT.size : _COUNT.size + count * _STATUS.size])
    return [SubflowStatus(*entry) for entry in entries]


def _flags(subflow: Subflow) -> int:
    state = FULLY_ESTABLISHED if subflow.fully_established else PRE_ESTABLISHED
    return ATTACHED | state | (LOW_PRIO if subflow.low_prio else 0)
