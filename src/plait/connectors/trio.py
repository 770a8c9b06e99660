"""trio: streams.

They are trio's own `SocketStream`s: `trio.SSLStream` goes over them, and cancellation works.
"""

from __future__ import annotations

import socket
import threading
from functools import partial

import trio

from plait.aio.connection import Connection
from plait.aio.ladder import Backend
from plait.aio.stack import Stack
from plait.sockets import Socket, create_connection


async def open_tcp_stream(
    host: str, port: int, *, backend: Backend = "auto", stack: Stack | None = None
) -> Stream:
    """Connect and return a stream, as `trio.open_tcp_stream` does.

    Resolving and connecting take place in a thread, which a canceled call leaves behind until it
    is done.

    Args:
        host: A name or a numeric address.
        port: The remote port.
        backend: What to run on, as for `plait.socket`.
        stack: What the rung `stack` means; that of `plait.use_stack` by default.

    Raises:
        OSError: Of the kind the `socket` module raises.
        NotSupportedError: Nothing that `backend` names can even try.
    """
    opening = _Opening(partial(create_connection, (host, port), None, backend=backend, stack=stack))
    try:
        await trio.to_thread.run_sync(opening.work, abandon_on_cancel=True)
    except BaseException:
        opening.abandon()
        raise
    assert opening.opened is not None
    return Stream(opening.opened)


class Stream(trio.abc.HalfCloseableStream):
    """A connected socket as a stream.

    Args:
        sock: Taken over.

    Attributes:
        connection: What can be asked of the connection and done to it.  Its `events` can be taken,
            and not waited for.
    """

    def __init__(self, sock: Socket) -> None:
        self._kept = sock.dup()  # trio takes none but the standard library's own
        self.connection: Connection = self._kept.connection
        self._stream = trio.SocketStream(
            trio.socket.from_stdlib_socket(socket.socket(fileno=sock.detach()))
        )

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, as `trio.abc.SendStream` says."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """End our half of the stream."""
        await self._stream.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what has arrived, nothing at the end."""
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close; what was sent is still delivered."""
        self._kept.close()
        await self._stream.aclose()


class _Opening:
    """A socket that is being opened in a thread.

    Attributes:
        opened: It, unless nobody wants it any more.
    """

    def __init__(self, open_socket: partial[Socket]) -> None:
        self.opened: Socket | None = None
        self._open = open_socket
        self._lock = threading.Lock()
        self._abandoned = False

    def work(self) -> None:
        """Open it; the thread does this."""
        opened = self._open()
        with self._lock:
            if self._abandoned:
                opened.close()
            else:
                self.opened = opened

    def abandon(self) -> None:
        """Close it, now or as soon as it is there."""
        with self._lock:
            self._abandoned = True
            if self.opened is not None:
                self.opened.close()
