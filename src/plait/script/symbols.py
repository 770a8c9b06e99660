"""The constants that scripts name, as this system has them."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
from typing import Final

from plait.script.errors import UnsupportedError
from plait.script.syntax import Anything, Expression, Function, Number, Text, Union, Word

_OWN: Final = {
    "IPPROTO_MPTCP": 262,
    "SOL_TCP": 6,
    "SOL_MPTCP": 284,
    "MSG_FASTOPEN": 0x20000000,
    "MSG_MORE": 0x8000,
    "MSG_ZEROCOPY": 0x4000000,
    "TCP_CM_INQ": 36,
    "TCP_INQ": 36,
    "TCP_FASTOPEN": 23,
    "TCP_FASTOPEN_CONNECT": 30,
    "TCP_FASTOPEN_KEY": 33,
    "TCP_FASTOPEN_NO_COOKIE": 34,
    "TCP_SAVE_SYN": 27,
    "TCP_SAVED_SYN": 28,
    "TCP_THIN_LINEAR_TIMEOUTS": 16,
    "TCP_THIN_DUPACK": 17,
    "TCP_TIMESTAMP": 24,
    "TCP_NOTSENT_LOWAT": 25,
    "TCP_CC_INFO": 26,
    "TCP_TX_DELAY": 37,
    "TCP_IS_MPTCP": 43,
    "MPTCP_INFO": 1,
    "SO_MAX_PACING_RATE": 47,
    "SO_SNDBUFFORCE": 32,
    "SO_RCVBUFFORCE": 33,
    "SIOCINQ": 0x541B,
    "FIONREAD": 0x541B,
    "SIOCOUTQ": 0x5411,
    "SIOCOUTQNSD": 0x894B,
    "POLLRDHUP": 0x2000,
    "SHUT_RD": 0,
    "SHUT_WR": 1,
    "SHUT_RDWR": 2,
    "IP_MTU_DISCOVER": 10,
    "IP_MTU": 14,
    "IPV6_TCLASS": 67,
    "IP_TOS": 1,
    "IP_TTL": 2,
    "SOL_IP": 0,
    "SOL_IPV6": 41,
    "TCP_ESTABLISHED": 1,
    "TCP_SYN_SENT": 2,
    "TCP_SYN_RECV": 3,
    "TCP_FIN_WAIT1": 4,
    "TCP_FIN_WAIT2": 5,
    "TCP_TIME_WAIT": 6,
    "TCP_CLOSE": 7,
    "TCP_CLOSE_WAIT": 8,
    "TCP_LAST_ACK": 9,
    "TCP_LISTEN": 10,
    "TCP_CLOSING": 11,
    "TCP_CA_Open": 0,
    "TCP_CA_Disorder": 1,
    "TCP_CA_CWR": 2,
    "TCP_CA_Recovery": 3,
    "TCP_CA_Loss": 4,
    "TCPI_OPT_TIMESTAMPS": 1,
    "TCPI_OPT_SACK": 2,
    "TCPI_OPT_WSCALE": 4,
    "TCPI_OPT_ECN": 8,
    "TCPI_OPT_ECN_SEEN": 16,
    "TCPI_OPT_SYN_DATA": 32,
}
"""What Python's modules leave out; values of Linux on every architecture with the generic ABI."""

_MODULES: Final = (socket, select, errno, os, fcntl)


def constant(name: str) -> int:
    """Return the value of a symbol.  Raises UnsupportedError for unknown ones."""
    if name in _OWN:
        return _OWN[name]
    for module in _MODULES:
        value = getattr(module, name, None)
        if isinstance(value, int):
            return int(value)
    raise UnsupportedError(f"symbol {name}")


def number(value: Expression, *, default: int | None = None) -> int:
    """Return the value of an expression of constants; `...` is `default`."""
    match value:
        case Number():
            return value.value
        case Word():
            return constant(value.name)
        case Union():
            total = 0
            for part in value.parts:
                total |= number(part)
            return total
        case Function(name="htons" | "htonl", arguments=(inner,)):
            return number(inner)
        case Anything() if default is not None:
            return default
    raise UnsupportedError(f"a {type(value).__name__.lower()} where a number belongs")


def text(value: Expression) -> bytes:
    """Return the octets of a string."""
    if isinstance(value, Text):
        return value.value
    raise UnsupportedError(f"a {type(value).__name__.lower()} where a string belongs")


def errno_name(code: int) -> str:
    """Return the symbol of an error number."""
    return errno.errorcode.get(code, str(code))
