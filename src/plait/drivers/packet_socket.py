"""Opening a packet socket: frames with a virtio-net header, filtered in the kernel."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from plait.drivers.packet_filter import frame_filter, program_option, serialize
from plait.drivers.packet_spec import Station
from plait.drivers.socket_buffers import enlarge
from plait.errors import NotSupportedError, PrivilegeError
from plait.units import Octets
from plait.wire import ndp
from plait.wire.ethernet import MAC_OCTETS, group_address

_SOL_PACKET: Final = 263
_ADD_MEMBERSHIP: Final = 1
_VNET_HDR: Final = 15
_IGNORE_OUTGOING: Final = 23
_MULTICAST: Final = 0
"""PACKET_MR_MULTICAST; linux/if_packet.h, like the options above."""

_SO_ATTACH_FILTER: Final = 26

_ALL: Final = 0x0003
"""ETH_P_ALL."""

_BUFFER: Final[Octets] = 16 << 20
"""Of which 64 KiB of payload take some 100 KiB: the kernel must not drop a window's worth."""

_MEMBERSHIP: Final = struct.Struct("@iHH8s")


def open_packet_socket(station: Station, ports: range | None) -> socket.socket:
    """Return a socket that reads and writes the frames of a stack.

    Args:
        station: What the stack is on the link.
        ports: Its local ports, if it has the addresses together with the kernel.

    Raises:
        PrivilegeError: The process lacks CAP_NET_RAW.
        NotSupportedError: The kernel cannot do it.
    """
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise PrivilegeError(
            f"packet {station.name}: packet sockets need CAP_NET_RAW: run as root, or give Python "
            "the capability"
        ) from None
    try:
        opened.settimeout(0)  # non-blocking
        _attach(opened, serialize(frame_filter(station.addresses, ports)))
        try:
            opened.setsockopt(_SOL_PACKET, _VNET_HDR, 1)
        except OSError as error:
            raise NotSupportedError(
                f"packet {station.name}: no PACKET_VNET_HDR here ({error.strerror}): use a TUN"
            ) from None
        with suppress(OSError):  # the filter leaves them out too, at a price
            opened.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        enlarge(opened, _BUFFER)
        opened.bind((station.name, _ALL))
        _join(opened, station)
    except BaseException:
        opened.close()
        raise
    return opened


def is_gone(station: Station) -> bool:
    """Return whether the interface is no longer there under its name."""
    try:
        return socket.if_nametoindex(station.name) != station.index
    except OSError:
        return True


def _attach(opened: socket.socket, program: bytes) -> None:
    """Have the kernel filter what is received, before anything is."""
    memory = ctypes.create_string_buffer(program, len(program))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program_option(memory))


def _join(opened: socket.socket, station: Station) -> None:
    """Have the interface receive what is sent to the groups that neighbors ask in."""
    groups: Sequence[bytes] = [
        group_address(group)
        for address in station.addresses
        if address.version == 6
        for group in (ndp.ALL_NODES, ndp.solicited_node(address.packed))
    ]
    for group in dict.fromkeys(groups):
        request = _MEMBERSHIP.pack(station.index, _MULTICAST, MAC_OCTETS, group)
        opened.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)
