"""Sockets of the kernel: Multipath TCP, or plain TCP where that is asked for or has to be."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any, Final, Self

from plait.aio.connection import Connection, LocalAddress
from plait.aio.kernel_connection import KernelConnection
from plait.aio.kernel_socket import KernelSocket
from plait.errors import UsageError
from plait.linux.families import IPPROTO_MPTCP
from plait.linux.refusals import refusal
from plait.linux.socket_options import ASKED
from plait.linux.swapping import swap_for_tcp
from plait.sockets.base import Socket
from plait.sockets.errors import not_connected, os_error

BOUND: Final = "bound to an address or interface without TCP_MULTIPATH_ENABLE (RFC 6897, 4.2.1)"
"""Why a connection is plain TCP that a program bound which knows nothing of Multipath TCP."""

_ANY: Final = {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
_LIMIT: Final = "the kernel chooses addresses for a network namespace: see `ip mptcp endpoint`"
_BINDTODEVICE: Final = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE)


class SystemSocket(Socket, KernelSocket):
    """A socket of the kernel.

    Multipath TCP is given up, with the descriptor kept, for options that it refuses, and at the
    time of connecting or listening if that is what was asked for.

    Args:
        sock: Made by `plait.linux.mptcp_sockets.make_socket`, or accepted; taken over.
        reason: Why it runs on this and not on what was preferred.
        listener: What it was accepted by; None if this end connects.

    Attributes:
        is_multipath: The descriptor is one of Multipath TCP.
    """

    def __init__(
        self,
        sock: socket.socket,
        reason: str | None = None,
        listener: SystemSocket | None = None,
    ) -> None:
        KernelSocket.__init__(self, sock)
        self.is_multipath = super().proto == IPPROTO_MPTCP
        self._reason = reason
        self._listener = listener
        self._enabled: bool | None = None
        self._pinned = False
        self._connection: KernelConnection | None = None

    @property
    def proto(self) -> int:
        """TCP's number, also for Multipath TCP: name resolution knows no other for streams."""
        return socket.IPPROTO_TCP

    # ---- Multipath TCP

    @property
    def connection(self) -> Connection:
        """What can be asked of the open connection and done to it.

        Its `events` need a running event loop.
        """
        if self._connection is None:
            if not self.is_connected:
                raise not_connected()
            asked = self._listener or self  # a listener accepts plain TCP, too
            self._connection = KernelConnection(
                self, self._reason, wanted=asked.is_multipath, initiator=self._listener is None
            )
        return self._connection

    @property
    def is_connected(self) -> bool:
        """Whether the socket has been connected, or came from `accept`."""
        if self._connection is not None:
            return True
        try:
            self.getpeername()
        except OSError:
            return False
        return True

    @property
    def wants_multipath(self) -> bool:
        """Whether Multipath TCP will be tried: not from one address, unless that was asked for."""
        return self.is_multipath and (not self._pinned if self._enabled is None else self._enabled)

    def wish(self, *, multipath: bool) -> None:
        """Choose whether to try Multipath TCP, as long as the socket has it."""
        if multipath and not self.is_multipath:
            raise os_error(errno.EOPNOTSUPP, self._reason or "this is a socket of plain TCP")
        self._enabled = multipath

    def add_local(self, addresses: Sequence[LocalAddress]) -> None:
        """Raise OSError: the kernel has no such choice for one socket."""
        raise os_error(errno.EOPNOTSUPP, _LIMIT)

    def remove_local(self, addresses: Sequence[LocalAddress]) -> None:
        """Raise OSError likewise."""
        raise os_error(errno.EOPNOTSUPP, _LIMIT)

    # ---- opening

    def bind(self, address: Any, /) -> None:
        """Choose local address and port."""
        super().bind(address)
        self._pinned = self._pinned or self.getsockname()[0] not in _ANY

    def listen(self, *backlog: int) -> None:
        """Accept connections."""
        self._settle()
        super().listen(*backlog)

    def accept(self) -> tuple[SystemSocket, Any]:
        """Return a socket for the next connection and the peer's address."""
        accepted, address = super().accept()
        return SystemSocket(accepted, self._reason, self), address

    def connect(self, address: Any, /) -> None:
        """Connect."""
        self._settle()
        super().connect(address)

    def connect_ex(self, address: Any, /) -> int:
        """Connect and return an errno, 0 if it went well."""
        self._settle()
        return super().connect_ex(address)

    # ---- the descriptor

    def dup(self) -> Self:
        """Return another socket for the same connection."""
        copy = socket.socket(fileno=os.dup(self.fileno()))
        copy.settimeout(self.gettimeout())
        return type(self)(copy, self._reason, self._listener)

    def detach(self) -> int:
        """Give the descriptor away; `connection` tells no more than it knows now."""
        self._take_leave()
        return super().detach()

    def _set(self, level: int, optname: int, value: Any, optlen: int | None) -> None:
        why = refusal(level, optname) if self.is_multipath else None
        if why is not None:
            try:
                self._swap(why)
            except UsageError:
                self._set_in_vain(level, optname, value, why)
                return
        rest = () if optlen is None else (optlen,)
        super(socket.socket, self).setsockopt(level, optname, value, *rest)
        self._pinned = self._pinned or (level, optname) == _BINDTODEVICE

    def _get(self, level: int, optname: int, buflen: int) -> Any:
        return super(socket.socket, self).getsockopt(level, optname, buflen)

    # ----

    def _set_in_vain(self, level: int, optname: int, value: Any, why: str) -> None:
        """Have the kernel refuse an option, and say why."""
        try:
            super(socket.socket, self).setsockopt(level, optname, value)
        except OSError as error:
            text = f"{error.strerror}: {why}, and this socket is in use"
            raise OSError(error.errno, text) from None

    def _settle(self) -> None:
        """Give Multipath TCP up if it is not to be tried."""
        if self.is_multipath and not self.wants_multipath:
            self._swap(ASKED if self._enabled is False else BOUND)

    def _swap(self, reason: str) -> None:
        """Become TCP.  Raises UsageError if the socket is in use."""
        swap_for_tcp(self)
        self.is_multipath = False
        self._reason = reason
