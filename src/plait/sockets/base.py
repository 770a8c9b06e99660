"""What sockets have in common, whatever they run on."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from plait.aio.connection import Connection, LocalAddress
from plait.mptcp.info import ConnectionInfo
from plait.sockets import multipath


class Socket(socket.socket):
    """A stream socket that may speak Multipath TCP: one of the standard library's, and more."""

    @property
    @abstractmethod
    def connection(self) -> Connection:
        """What can be asked of the open connection and done to it.

        Raises OSError with ENOTCONN before it is open.
        """

    @property
    def info(self) -> ConnectionInfo:
        """A snapshot of the connection: `backend` tells what it runs on, and so on."""
        return self.connection.info

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether the socket has been connected, or came from `accept`."""

    @property
    @abstractmethod
    def wants_multipath(self) -> bool:
        """Whether Multipath TCP will be tried."""

    @abstractmethod
    def wish(self, *, multipath: bool) -> None:
        """Choose whether to try Multipath TCP, before connecting or listening."""

    @abstractmethod
    def add_local(self, addresses: Sequence[LocalAddress]) -> None:
        """Let a connection that is yet to be opened use these addresses and no others."""

    @abstractmethod
    def remove_local(self, addresses: Sequence[LocalAddress]) -> None:
        """Take some of them away again."""

    def setsockopt(
        self, level: int, optname: int, value: Any, optlen: int | None = None, /
    ) -> None:
        """Set an option, those of `plait.sockets.options` included.

        What the kernel's Multipath TCP refuses makes TCP of a socket that is not connected yet.
        """
        if level == socket.IPPROTO_TCP and optname in multipath.OPTIONS:
            multipath.set_option(self, optname, value)
        else:
            self._set(level, optname, value, optlen)

    def getsockopt(self, level: int, optname: int, buflen: int | bytes = 0, /) -> Any:
        """Return an option, those of `plait.sockets.options` included.

        Args:
            buflen: The most octets to return; 0 for an int.  For options that take a request, its
                octets, as many as the answer may have.
        """
        if level == socket.IPPROTO_TCP and optname in multipath.OPTIONS:
            return multipath.get_option(self, optname, buflen)
        if not isinstance(buflen, int):
            raise TypeError("only the options of draft-hesmans-mptcp-socket take a request")
        return self._get(level, optname, buflen)

    @abstractmethod
    def _set(self, level: int, optname: int, value: Any, optlen: int | None) -> None: ...

    @abstractmethod
    def _get(self, level: int, optname: int, buflen: int) -> Any: ...
