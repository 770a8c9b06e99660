"""Programs get Multipath TCP sockets of the kernel where they ask for TCP."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from plait.linux.destinations import Choice
from plait.linux.families import IPPROTO_MPTCP
from plait.linux.sockaddr import Destination
from plait.linux.steering import Answer, Call, Proceed, Replace, Socket, Steering
from plait.linux.swapping import bound_address, carry_over, in_use

_OFF: Final = "Multipath TCP is off in this network namespace: run `sysctl net.mptcp.enabled=1`"
_ABSENT: Final = "this kernel was built without Multipath TCP"

_REASONS: Final = {
    errno.ENOPROTOOPT: _OFF,
    errno.EPROTONOSUPPORT: _ABSENT,
    errno.EINVAL: _ABSENT,
}

_NAMES: Final = {IPPROTO_MPTCP: "MPTCP", int(socket.IPPROTO_TCP): "TCP"}

_CHOSEN: Final = "by its destination"


def missing_in_kernel() -> str | None:
    """Return why the kernel makes no Multipath TCP sockets here, if it does not."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError as error:
        return _why(error)
    return None


class KernelSteering(Steering):
    """Answers with sockets of IPPROTO_MPTCP; where one cannot be made the program gets TCP.

    A choice that names what is to be Multipath TCP leaves sockets alone until they connect, and
    those that listen altogether.  One that names exceptions alone takes it back for these.
    """

    def __init__(self, choice: Choice | None = None) -> None:
        self._choice = choice
        self._tcp_first = choice is not None and choice.selects
        chooses = ("connect",) if choice is not None else ()
        self.calls = chooses if self._tcp_first else ("socket", *chooses)

    def on_socket(self, call: Call) -> Answer:
        """Give a Multipath TCP socket instead."""
        try:
            sock = call.target.make_socket(call.family, call.kind, IPPROTO_MPTCP)
        except OSError as error:
            return Proceed(got="TCP", why=_why(error))
        return Socket(sock, got=None if self._choice else "MPTCP")  # `connect` tells

    def on_connect(self, call: Call) -> Answer:
        """Put another socket in place if the destination wants another protocol."""
        assert self._choice is not None
        to = None
        try:
            to = call.destination()
            if to is None:
                return Proceed()
            with call.target.copy_socket(call.fd) as old:
                if old.proto not in _NAMES or in_use(old):
                    return Proceed()  # UDP, or not the first call for this connection
                return self._choose(call, old, to)
        except OSError as error:
            return Proceed(got="TCP", why=_why(error), to=to)

    def _choose(self, call: Call, old: socket.socket, to: Destination) -> Answer:
        """Return what the destination wants.  Raises OSError."""
        assert self._choice is not None
        wanted = IPPROTO_MPTCP if self._choice.covers(to) else socket.IPPROTO_TCP
        if old.proto == wanted:
            return Proceed(got=_NAMES[wanted], why=_CHOSEN, to=to)
        if self._tcp_first and old.proto == IPPROTO_MPTCP:
            return Proceed(got="MPTCP", why="the program asked for it", to=to)
        new = call.target.make_socket(old.family, socket.SOCK_STREAM, wanted)
        try:
            with call.target.make_socket(old.family, socket.SOCK_STREAM, old.proto) as fresh:
                carry_over(old, fresh, new)
            new.setblocking(os.get_blocking(old.fileno()))
            _bind_too(old, new)
        except OSError:
            new.close()
            raise
        return Replace(new, call.fd, got=_NAMES[wanted], why=_CHOSEN, to=to)


def _bind_too(old: socket.socket, new: socket.socket) -> None:
    """Bind `new` to the address of `old`, if that has one.

    Both have it for a while: a replaced socket is closed when its program goes on.
    """
    bound = bound_address(old)
    if bound is None:
        return
    reuse = old.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    try:
        for sock in (old, new):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        new.bind(bound)
    finally:
        for sock in (old, new):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)


def _why(error: OSError) -> str:
    """Return why the program gets TCP."""
    return _REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()
