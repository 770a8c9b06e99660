"""Loopback connections to a socket of another program, for relays.

Whoever relays a program's connection holds a duplicate of its socket and connects that to itself.
For a blocking `connect` this is done when the real connection is open.  One that does not block
must see its socket connect for as long as that takes: so the socket sends its SYN to a listener
whose filter drops it, and once the real connection is open we connect to it from the listener's
port, which TCP takes as a simultaneous open (RFC 9293, 3.5).  If there is no real connection the
listener goes, and the next retransmission of the SYN is refused: after a second at first.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from contextlib import suppress
from typing import Final, TypeAlias

from plait.linux.closing import Closing
from plait.linux.sockaddr import destination_of

SocketName: TypeAlias = tuple[str, int]

_SO_ATTACH_FILTER: Final = 26
"""asm-generic/socket.h."""

_DROP_ALL: Final = struct.pack("@HBBI", 0x06, 0, 0, 0)
"""The classic BPF program `ret 0`: struct sock_filter of linux/filter.h."""

_SECONDS: Final = 1
"""What a handshake over loopback may take; nothing else happens meanwhile."""

_TIMEVAL: Final = struct.Struct("@ll")
"""struct timeval of <sys/time.h>: the value of SO_SNDTIMEO, which bounds `connect`."""


class Rendezvous(Closing):
    """Where a program's socket connects, and waits until it is met.

    Args:
        sock: A duplicate of the program's socket: TCP, not connected, not blocking.

    Raises:
        OSError: It reaches no loopback address, as one that is bound to a device.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        host = meeting_host(sock)
        self._listener = _bound(host, 0)
        try:
            _drop_all(self._listener)
            self._listener.listen(1)
            self._name: SocketName = self._listener.getsockname()[:2]
            with suppress(BlockingIOError):
                sock.connect(_as_seen_by(sock, self._name))
        except BaseException:
            self.close()
            raise

    def meet(self) -> socket.socket:
        """Let the program's socket be connected; return our end, which does not block."""
        ours = _bound(*self._name)
        try:
            ours.settimeout(0)
            ours.connect_ex(_name_of(self._sock))
        except BaseException:
            ours.close()
            raise
        self.close()
        return ours

    def close(self) -> None:
        """Wait no more: a socket that was not met is refused."""
        self._listener.close()


def join(sock: socket.socket) -> socket.socket:
    """Connect a program's socket at once, and return our end, which does not block.

    Args:
        sock: A duplicate of the program's socket: TCP, not connected, blocking.

    Raises:
        OSError: It reaches no loopback address.
    """
    with _bound(meeting_host(sock), 0) as listener:
        listener.listen(1)
        listener.settimeout(_SECONDS)
        _connect(sock, _as_seen_by(sock, listener.getsockname()[:2]))
        mine = _name_of(sock)
        while True:
            ours, theirs = listener.accept()
            if theirs[:2] == mine:
                ours.settimeout(0)
                return ours
            ours.close()  # somebody else on this machine was curious


def _connect(sock: socket.socket, to: SocketName) -> None:
    """Connect a blocking socket, for a while.  Raises OSError."""
    option = socket.SOL_SOCKET, socket.SO_SNDTIMEO
    before = sock.getsockopt(*option, _TIMEVAL.size)
    sock.setsockopt(*option, _TIMEVAL.pack(_SECONDS, 0))
    try:
        sock.connect(to)
    except BlockingIOError:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
    finally:
        sock.setsockopt(*option, before)


def meeting_host(sock: socket.socket) -> str:
    """Return where on loopback a socket connects and is reached: its own address if it is bound."""
    host, _ = _name_of(sock)
    if host == "::" and _is_v6_only(sock):
        return "::1"
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104  compared, not bound


def _is_v6_only(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, which others of ours may share."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _drop_all(listener: socket.socket) -> None:
    """Have the kernel drop every segment that reaches a listener."""
    program = ctypes.create_string_buffer(_DROP_ALL, len(_DROP_ALL))
    pointer = struct.pack("@HP", 1, ctypes.addressof(program))  # struct sock_fprog
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def _name_of(sock: socket.socket) -> SocketName:
    """Return the local address of a socket."""
    address, port = destination_of(sock.getsockname())
    return str(address), port


def _as_seen_by(sock: socket.socket, name: SocketName) -> SocketName:
    """Return an address as a socket of this family writes it."""
    host, port = name
    if sock.family == socket.AF_INET6 and ":" not in host:
        return f"::ffff:{host}", port
    return name
