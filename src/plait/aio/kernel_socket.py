"""The socket of a kernel connection: it tells the connection of its end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class KernelSocket(socket.socket):
    """A connected socket that takes over the descriptor of another one.

    asyncio closes the socket of a transport as the last thing it does, and tells nobody: so the
    last look at the connection is taken here.  It also keeps the error that ended the connection,
    which the kernel tells only once.

    Attributes:
        error: What `recv` or `send` failed with.
        on_close: Called once, while the kernel still knows the connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        protocol = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
        timeout = sock.gettimeout()
        super().__init__(sock.family, sock.type, protocol, sock.detach())
        self.settimeout(timeout)
        self.error: OSError | None = None
        self.on_close: Callable[[], None] | None = None

    def _real_close(self, *arguments: Any) -> None:
        """Close the descriptor, once files made of the socket are closed, too."""
        self._take_leave()
        super()._real_close(*arguments)  # type: ignore[misc]  # not in typeshed

    def _take_leave(self) -> None:
        """Let the connection take its last look."""
        if self.on_close is not None:
            on_close, self.on_close = self.on_close, None
            on_close()

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive as sockets do."""
        try:
            return super().recv(bufsize, flags)
        except OSError as error:
            raise self._noted(error) from None

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive as sockets do."""
        try:
            return super().recv_into(buffer, nbytes, flags)
        except OSError as error:
            raise self._noted(error) from None

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send as sockets do."""
        try:
            return super().send(data, flags)
        except OSError as error:
            raise self._noted(error) from None

    def sendmsg(self, *arguments: Any) -> int:
        """Send as sockets do."""
        try:
            return super().sendmsg(*arguments)
        except OSError as error:
            raise self._noted(error) from None

    def _noted(self, error: OSError) -> OSError:
        """Keep an error that ends the connection."""
        if not isinstance(error, BlockingIOError | InterruptedError):
            self.error = error
        return error
