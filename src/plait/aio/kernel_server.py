"""A listening socket of the kernel, in the shape of asyncio's servers."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

from plait.aio.kernel_connection import KernelConnection
from plait.aio.kernel_socket import KernelSocket
from plait.aio.kernel_transport import make_transport
from plait.aio.serving import Serving
from plait.linux.socket_options import SocketOptions

_RETRY_SECONDS: Final = 1.0
"""How long a listener rests when the process is out of descriptors."""

_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class KernelServer(Serving):
    """Accepts connections until it is closed.

    Args:
        sock: The listening socket, which the server closes.
        protocol_factory: Called for every connection.
        options: What `sock` was made with.
        reason: Why it is not what was preferred, for `info.fallback_reason` of its connections.
    """

    def __init__(
        self,
        sock: socket.socket,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        options: SocketOptions,
        reason: str | None,
    ) -> None:
        super().__init__()
        self._sock = sock
        self._factory = protocol_factory
        self._options = options
        self._reason = reason
        self._tasks: set[asyncio.Task[None]] = set()
        sock.settimeout(0)  # non-blocking
        self.port: int = sock.getsockname()[1]
        """The port listened on."""

        self._loop.add_reader(sock.fileno(), self._on_readable)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening socket, until the server is closed."""
        return (self._sock,) if self._serving else ()

    def _stop(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _on_readable(self) -> None:
        """Accept all that wait."""
        while True:
            try:
                accepted, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._loop.remove_reader(self._sock.fileno())
                self._loop.call_later(_RETRY_SECONDS, self._resume)
                return
            self._take(accepted)

    def _take(self, accepted: socket.socket) -> None:
        """Make a connection of an accepted socket; one that is already dead is dropped."""
        accepted.settimeout(0)
        sock = KernelSocket(accepted)
        wanted = self._options.why_tcp is None
        try:
            connection = KernelConnection(sock, self._reason, wanted=wanted, initiator=False)
        except OSError:
            sock.close()
            return
        self.attach()
        connection.add_done_callback(self.detach)
        task = self._loop.create_task(self._hand_over(sock, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, sock: KernelSocket, connection: KernelConnection) -> None:
        try:
            await make_transport(sock, connection, self._factory, nodelay=self._options.nodelay)
        except asyncio.CancelledError:
            sock.close()
            raise
        except Exception as error:  # noqa: BLE001  the factory is the caller's
            sock.close()
            self._loop.call_exception_handler(
                {"message": "accepting a connection failed", "exception": error}
            )

    def _resume(self) -> None:
        """Accept again after a rest."""
        if self._serving:
            self._loop.add_reader(self._sock.fileno(), self._on_readable)
