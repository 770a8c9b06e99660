"""Socket options of one subflow, as fields of its settings and of its snapshot."""

from __future__ import annotations

import errno
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any, Final

from plait.linux import tcp_info
from plait.mptcp.settings import SUBFLOW
from plait.tcp.info import TcpInfo
from plait.tcp.settings import TcpSettings
from plait.units import MILLISECOND, SECOND


@dataclass(frozen=True, slots=True)
class Row:
    """An option that is a setting."""

    field: str
    kind: type = int
    unit: int = 1
    """What the setting counts in one of the option."""

    def read(self, settings: TcpSettings) -> int | bytes:
        """Return what getsockopt says; texts as octets."""
        value = getattr(settings, self.field)
        return value.encode() if isinstance(value, str) else int(value) // self.unit

    def setting(self, value: int | bytes) -> Any:
        """Return the setting that a value of setsockopt means; numbers may come as octets."""
        if self.kind is str:
            text = value if isinstance(value, bytes) else b""
            return text.rstrip(b"\0").decode(errors="replace")
        number = value if isinstance(value, int) else int.from_bytes(value, sys.byteorder)
        return self.kind(number * self.unit)


_TOS: Final = Row("tos")
_TTL: Final = Row("ttl")

SETTINGS: Final[dict[tuple[int, int], Row]] = {
    (socket.IPPROTO_IP, socket.IP_TOS): _TOS,
    (socket.IPPROTO_IPV6, socket.IPV6_TCLASS): _TOS,
    (socket.IPPROTO_IP, socket.IP_TTL): _TTL,
    (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS): _TTL,
    (socket.IPPROTO_TCP, socket.TCP_NODELAY): Row("nodelay", bool),
    (socket.IPPROTO_TCP, socket.TCP_CONGESTION): Row("congestion", str),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): Row("keepalive", bool),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): Row("keepalive_idle", unit=SECOND),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): Row("keepalive_interval", unit=SECOND),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): Row("keepalive_probes"),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): Row("user_timeout", unit=MILLISECOND),
}
"""By level and number."""


def read(level: int, optname: int, settings: TcpSettings, info: TcpInfo) -> int | bytes:
    """Return an option of a subflow.  Raises OSError with ENOPROTOOPT if it has none such."""
    if (level, optname) == (socket.IPPROTO_TCP, socket.TCP_INFO):
        return tcp_info.pack(info)
    if (level, optname) == (socket.IPPROTO_TCP, socket.TCP_MAXSEG):
        return info.snd_mss
    row = SETTINGS.get((level, optname))
    if row is None:
        raise no_such_option()
    return row.read(settings)


def change(level: int, optname: int, value: int | bytes) -> dict[str, Any]:
    """Return the setting that an option means.

    Raises OSError with ENOPROTOOPT if a subflow can have none of its own.
    """
    row = SETTINGS.get((level, optname))
    if row is None or row.field not in SUBFLOW:
        raise no_such_option()
    return {row.field: row.setting(value)}


def no_such_option() -> OSError:
    """Return the error for options that there are not."""
    return OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
