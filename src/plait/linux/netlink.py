"""Netlink: questions to the kernel, and what it tells unasked.

Messages are packed here rather than by pyroute2, whose sockets run an event loop of their own and
whose Multipath TCP family knows neither single connections nor events.  The kernel answers before
`send` returns, so that asking never blocks.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Final

from plait.linux.closing import Closing

GENERIC: Final = 16
"""NETLINK_GENERIC."""

ROUTE: Final = 0
"""NETLINK_ROUTE."""

SOCK_DIAG: Final = 4
"""NETLINK_SOCK_DIAG."""

DUMP: Final = 0x300
"""NLM_F_DUMP: every object there is."""

_REQUEST: Final = 0x1
_ACK: Final = 0x4
_ERROR: Final = 2
_DONE: Final = 3
_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP: Final = 1
_EXT_ACK: Final = 11
_CAP_ACK: Final = 10
_ACK_TLVS: Final = 0x200
_ACK_MESSAGE: Final = 1
"""NLMSGERR_ATTR_MSG: what was wrong, in words."""

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NESTED: Final = 0x8000
_TYPE: Final = 0x3FFF
_READ_OCTETS: Final = 1 << 16

_CONTROL: Final = 16
"""GENL_ID_CTRL, the family that knows the others."""

_GET_FAMILY: Final = 3


class NetlinkError(OSError):
    """The kernel refused a request; `strerror` has its words if it gave any."""


class Netlink(Closing):
    """A netlink socket of the calling thread's network namespace; a context manager.

    Args:
        protocol: `GENERIC`, `ROUTE` or `SOCK_DIAG`.
    """

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.settimeout(0)  # non-blocking
        for option in (_EXT_ACK, _CAP_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))  # groups pass by a socket without an address
        self._sequence = 0

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave every group."""
        self._socket.close()

    def join(self, group: int) -> None:
        """Hear what a multicast group is told.  Raises PermissionError without the privilege."""
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[bytes]:
        """Ask, and return the bodies of the answers; not for sockets that joined a group.

        Args:
            kind: Type of the message, for generic netlink the family's.
            flags: `DUMP` or nothing.

        Raises:
            NetlinkError: The kernel refused.
        """
        self._sequence += 1
        flags |= _REQUEST | (0 if flags & DUMP == DUMP else _ACK)
        size = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(size, kind, flags, self._sequence, 0) + body)
        answers: list[bytes] = []
        while True:
            for answer, given, sequence, octets in _messages(self._socket.recv(_READ_OCTETS)):
                if sequence != self._sequence:
                    continue
                if answer in {_ERROR, _DONE}:
                    _check(given, octets)
                    return answers
                answers.append(octets)

    def heard(self) -> Iterator[tuple[int, bytes]]:
        """Yield type and body of what the groups were told since the last call.

        Raises OSError with ENOBUFS if the kernel had to leave something out.
        """
        while True:
            try:
                octets = self._socket.recv(_READ_OCTETS)
            except BlockingIOError:
                return
            for kind, _, _, body in _messages(octets):
                yield kind, body


class GenericFamily:
    """A family of generic netlink.  Raises OSError with ENOENT if the kernel has none of the name.

    Attributes:
        id: The type of its messages.
        groups: Its multicast groups by name.
    """

    def __init__(self, netlink: Netlink, name: str) -> None:
        body = struct.pack("=BBH", _GET_FAMILY, 1, 0) + attribute(2, name.encode() + b"\0")
        found = attributes(netlink.request(_CONTROL, body)[0][4:])
        self.id = number(found[1])
        self.groups: dict[str, int] = {}
        for group in attributes(found.get(7, b"")).values():
            named = attributes(group)
            self.groups[named[1].rstrip(b"\0").decode()] = number(named[2])


def attribute(kind: int, value: bytes | int, width: str = "I", *, nested: bool = False) -> bytes:
    """Return one attribute, padded.

    Args:
        value: A number is packed as `width` says, a code of `struct`.
    """
    octets = struct.pack("=" + width, value) if isinstance(value, int) else value
    head = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(octets), kind | (_NESTED if nested else 0))
    return head + octets + bytes(-len(octets) % 4)


def attributes(octets: bytes) -> dict[int, bytes]:
    """Return the values by attribute type; of one that comes again the last."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(octets):
        size, kind = _ATTRIBUTE.unpack_from(octets, at)
        if size < _ATTRIBUTE.size:
            break
        found[kind & _TYPE] = octets[at + _ATTRIBUTE.size : at + size]
        at += -(-size // 4) * 4
    return found


def number(octets: bytes, default: int = 0) -> int:
    """Return an attribute's number, in the machine's order; `default` if it has no octets."""
    return int.from_bytes(octets, sys.byteorder) if octets else default


def _messages(octets: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, sequence number and body of each message of a datagram."""
    at = 0
    while at + _HEADER.size <= len(octets):
        size, kind, flags, sequence, _ = _HEADER.unpack_from(octets, at)
        if size < _HEADER.size:
            break
        yield kind, flags, sequence, octets[at + _HEADER.size : at + size]
        at += -(-size // 4) * 4


def _check(flags: int, octets: bytes) -> None:
    """Raise what an acknowledgment says."""
    code = -struct.unpack_from("=i", octets)[0] if len(octets) >= 4 else 0
    if not code:
        return
    words = b""
    if flags & _ACK_TLVS:  # the request's header comes first, and no more of it: NETLINK_CAP_ACK
        words = attributes(octets[4 + _HEADER.size :]).get(_ACK_MESSAGE, b"")
    text = words.rstrip(b"\0").decode(errors="replace") or os.strerror(code)
    kind = PermissionError if code in {errno.EPERM, errno.EACCES} else NetlinkError
    raise kind(code, text)
