"""An unconnected Multipath TCP socket becomes a TCP one, its descriptor the same."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any, Final

from plait.errors import UsageError
from plait.linux.families import IPPROTO_MPTCP

_CARRIED: Final = (
    *((socket.SOL_SOCKET, option) for option in (
        1, 2, 5, 6, 9, 12, 13, 15, 18, 20, 21, 25, 36, 49, 66, 67,
    )),
    *((socket.IPPROTO_TCP, option) for option in (
        1, 2, 3, 4, 5, 6, 9, 13, 23, 25, 30, 34, 36,
    )),
    *((socket.IPPROTO_IP, option) for option in (1, 15, 19, 24, 51)),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
)  # fmt: skip
"""Options that the kernel's Multipath TCP keeps and tells: level and number."""

_BUFFERS: Final = (socket.SO_SNDBUF, socket.SO_RCVBUF)
_OPTION_OCTETS: Final = 64


_CLOSED: Final = 7
"""TCP_CLOSE, the first octet of struct tcp_info."""


def swap_for_tcp(sock: socket.socket) -> None:
    """Make a TCP socket of one of Multipath TCP that is not connected.

    Options that were set and the address it is bound to are kept.  Whoever waits for the
    descriptor with `epoll` must register it again.

    Raises:
        UsageError: It is connected, connecting or listens: that cannot be undone.
    """
    if in_use(sock):
        raise UsageError("set this option before the socket connects or listens: it needs TCP")
    with (
        socket.socket(sock.family, socket.SOCK_STREAM) as tcp,
        socket.socket(sock.family, socket.SOCK_STREAM, IPPROTO_MPTCP) as fresh,
    ):
        carry_over(sock, fresh, tcp)
        bound = bound_address(sock)
        os.set_blocking(tcp.fileno(), os.get_blocking(sock.fileno()))
        os.dup2(tcp.fileno(), sock.fileno(), inheritable=sock.get_inheritable())
    if bound is not None:
        sock.bind(bound)


def in_use(sock: socket.socket) -> bool:
    """Return whether the socket has left the state CLOSED."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _CLOSED


def bound_address(sock: socket.socket) -> tuple[Any, ...] | None:
    """Return the address that a socket of IP was bound to, None if it was not."""
    bound: tuple[Any, ...] = sock.getsockname()
    wildcard = bound[0] in {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
    return None if wildcard and not bound[1] else bound


def carry_over(source: socket.socket, fresh: socket.socket, target: socket.socket) -> None:
    """Set on `target` what is set on `source`: what differs from a `fresh` socket of its kind."""
    for level, option in _CARRIED:
        with suppress(OSError):  # not of this kernel or family: nobody can have set it
            value = source.getsockopt(level, option, _OPTION_OCTETS)
            if value != fresh.getsockopt(level, option, _OPTION_OCTETS):
                target.setsockopt(level, option, value)
    for option in _BUFFERS:
        octets = source.getsockopt(socket.SOL_SOCKET, option)
        if octets != fresh.getsockopt(socket.SOL_SOCKET, option):
            target.setsockopt(socket.SOL_SOCKET, option, octets // 2)  # the kernel doubles it
