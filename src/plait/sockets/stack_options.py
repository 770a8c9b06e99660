"""Socket options of a stack's sockets: settings of the connection by level and number."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import Any, Final

from plait.aio import subflow_options
from plait.aio.subflow_options import SETTINGS, Row, no_such_option
from plait.host.settings import Settings
from plait.mptcp.info import ConnectionInfo
from plait.sockets.errors import not_connected, os_error

RECORDED: Final = {
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
}
"""Options that change nothing: a stack's listeners take their port as soon as it is free, and take
connections of the families that it has addresses of."""

_FIXED: Final = {
    (socket.SOL_SOCKET, socket.SO_SNDBUF): Row("send_buffer"),
    (socket.SOL_SOCKET, socket.SO_RCVBUF): Row("receive_buffer"),
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG): Row("max_mss"),
}
"""Options that an open connection cannot change."""

_NATURE: Final = {
    (socket.SOL_SOCKET, socket.SO_TYPE): socket.SOCK_STREAM.value,
    (socket.SOL_SOCKET, socket.SO_PROTOCOL): socket.IPPROTO_TCP,
}
"""Options that only tell."""

_LINGER: Final = struct.Struct("ii")


def setting(level: int, optname: int, value: int | bytes) -> dict[str, Any]:
    """Return the setting that an option means.  Raises OSError with ENOPROTOOPT."""
    row = SETTINGS.get((level, optname)) or _FIXED.get((level, optname))
    if row is None:
        raise no_such_option()
    return {row.field: row.setting(value)}


def live_setting(level: int, optname: int, value: int | bytes) -> dict[str, Any]:
    """Return likewise what an open connection can change.  Raises OSError with EISCONN, too."""
    if (level, optname) in _FIXED:
        raise os_error(errno.EISCONN, "set this option before the socket connects or listens")
    return setting(level, optname, value)


def read(level: int, optname: int, settings: Settings, info: ConnectionInfo | None) -> int | bytes:
    """Return an option, of the first subflow where each has its own.

    Args:
        info: None while the socket is not connected.
    """
    if (level, optname) in _NATURE:
        return _NATURE[level, optname]
    row = _FIXED.get((level, optname))
    if row is not None and (info is None or optname != socket.TCP_MAXSEG):
        return row.read(settings)
    if info is not None:
        return subflow_options.read(level, optname, settings, info.subflows[0].tcp)
    if (level, optname) == (socket.IPPROTO_TCP, socket.TCP_INFO):
        raise not_connected()
    known = SETTINGS.get((level, optname))
    if known is None:
        raise no_such_option()
    return known.read(settings)


def answer(found: int | bytes, buflen: int) -> int | bytes:
    """Return an option as `getsockopt` does: octets if there is room for some, else an int."""
    if buflen:
        octets = found if isinstance(found, bytes) else struct.pack("=i", found)
        return octets[:buflen]
    return found if isinstance(found, int) else int.from_bytes(found[:4], sys.byteorder)


def is_reset(value: int | bytes) -> bool:
    """Return whether a struct linger makes closing reset the connection."""
    return isinstance(value, bytes) and _LINGER.unpack_from(value) == (1, 0)
