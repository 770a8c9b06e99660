"""What stands between an application's socket and a connection of a stack.

The application holds one end of a pair of sockets, so that whatever works on descriptors works:
`select`, time-outs, `sendfile`, TLS.  A relay copies between the other end and the connection, on
the stack's loop, and stops reading either where the other does not keep up.  The ends of streams
pass through, and so do resets, for a pair is reset by closing it with data unread.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, cast
from weakref import WeakSet

from plait.aio.connection import Connection, connection_of
from plait.aio.protocols import ChunkProtocol
from plait.aio.stack import Stack
from plait.buffers import Buffer
from plait.errors import AddressError, UsageError
from plait.host.settings import Settings
from plait.sockets.errors import os_error

_READ_OCTETS: Final = 256 * 1024

_MAX_PIECES: Final = 1024
"""IOV_MAX of Linux."""

_LOOK_SECONDS: Final = 1.0
"""Between two looks whether an application that has ended its stream has closed its socket, too."""

_DRAIN_SECONDS: Final = 0.01


class Relay(ChunkProtocol):
    """Copies both ways between a connection and `pipe`; the protocol of the former.

    Everything runs on the loop, but `error` may be taken and the other attributes read anywhere.

    Args:
        loop: The stack's.
        application: The application's socket.
        pipe: The other end of the pair, which the relay owns.

    Attributes:
        connection: None until it is open.
        peername: Remote address of the first subflow, None until it is open.
        sockname: Local one.
        error: What ended the connection, or the attempt to open it, until somebody is told.
        failed: The attempt to open it has failed.
        resetting: Closing is to reset the connection (SO_LINGER with a time of 0).
        decided: Set when it is known whether the connection is open.
        junk: Octets in the pair that keep the application's end from being writable before that.
        on_open: Called when the connection is open.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, application: socket.socket, pipe: socket.socket
    ) -> None:
        self.connection: Connection | None = None
        self.peername: Any = None
        self.sockname: Any = None
        self.error: OSError | None = None
        self.failed = False
        self.resetting = False
        self.decided = threading.Event()
        self.junk = 0
        self.on_open: Callable[[], None] = _nothing
        self._loop = loop
        self._pipe = pipe
        self._descriptor = application.fileno()
        self._inode = os.fstat(self._descriptor).st_ino
        self._waiting: deque[memoryview] = deque()
        self._attempt: asyncio.Task[None] | None = None
        self._peer_ended = False
        self._application_ended = False
        self._lost = False

    def take_error(self) -> OSError | None:
        """Return what ended the connection, once."""
        error, self.error = self.error, None
        return error

    # ---- opening and closing, as the socket asks

    def open(
        self,
        stack: Stack,
        address: tuple[Any, ...],
        local: tuple[str, int] | None,
        settings: Settings,
        reason: str | None,
    ) -> None:
        """Begin to connect."""

        async def attempt() -> None:
            try:
                await stack.create_connection(
                    lambda: self,
                    address[0],
                    address[1],
                    local_addr=local,
                    settings=settings,
                    reason=reason,
                )
            except asyncio.CancelledError:
                self._fail(ConnectionAbortedError(errno.ECONNABORTED, "the attempt was given up"))
            except OSError as error:
                self._fail(error)
            except UsageError as error:
                ours = isinstance(error, AddressError)
                self._fail(os_error(errno.EADDRNOTAVAIL if ours else errno.ENETUNREACH, str(error)))

        self._attempt = self._loop.create_task(attempt())

    def give_up(self) -> None:
        """Stop connecting, if that is what is going on."""
        if self._attempt is not None and not self.decided.is_set():
            self._attempt.cancel()

    def abandon(self) -> None:
        """Reset the connection: nobody will take it."""
        self._transport.abort()

    def look(self) -> None:
        """See whether the application has closed its socket."""
        if self._lost or self._pipe.fileno() < 0 or not self._hung_up():
            return
        if self.resetting:
            self._transport.abort()
        elif self._application_ended:
            self._transport.close()

    def drains(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether data of a closed socket waits for a connection on this loop."""
        closed = self._loop is loop and self._pipe.fileno() >= 0 and self._hung_up()
        return closed and self.connection is not None and not self._lost

    # ---- from the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let data through from now on."""
        _RELAYS.add(self)
        self._transport = cast("asyncio.Transport", transport)
        self.connection = connection_of(transport)
        self.peername = transport.get_extra_info("peername")
        self.sockname = transport.get_extra_info("sockname")
        while self.junk:
            self.junk -= len(self._pipe.recv(min(self.junk, _READ_OCTETS)))
        self._loop.add_reader(self._pipe, self._on_readable)
        self.decided.set()
        self.on_open()

    def chunks_received(self, chunks: Sequence[Buffer]) -> None:
        """Pass data to the application."""
        sent = 0
        if not self._waiting:
            try:
                sent = self._pipe.sendmsg(chunks[:_MAX_PIECES])
            except BlockingIOError:
                pass
            except OSError:  # nobody reads any more; `_on_readable` sees to the rest
                return
        for chunk in chunks:
            if sent < len(chunk):
                self._waiting.append(memoryview(chunk)[sent:])
            sent = max(0, sent - len(chunk))
        if self._waiting:
            self._transport.pause_reading()
            self._loop.add_writer(self._pipe, self._on_writable)

    def eof_received(self) -> bool:
        """End the application's input after what waits."""
        self._peer_ended = True
        self._end_input()
        return True

    def pause_writing(self) -> None:
        """Leave what the application writes in the pair."""
        self._loop.remove_reader(self._pipe)

    def resume_writing(self) -> None:
        """Take it again."""
        if not self._application_ended and not self._lost:
            self._loop.add_reader(self._pipe, self._on_readable)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, after the data that waits for it."""
        self._lost = True
        if isinstance(exc, OSError):
            self.error = exc
        self._loop.remove_reader(self._pipe)
        if not self._waiting:
            self._finish()

    # ---- from the application

    def _on_readable(self) -> None:
        try:
            data = self._pipe.recv(_READ_OCTETS)
        except BlockingIOError:
            return
        except OSError:  # it closed its socket with data unread: TCP resets
            self._loop.remove_reader(self._pipe)
            self._transport.abort()
            return
        if data:
            self._transport.write(data)
            return
        self._loop.remove_reader(self._pipe)
        self._application_ended = True
        if self._hung_up():
            self.look()
        else:
            self._transport.write_eof()
            self._look_again()

    def _look_again(self) -> None:
        """Look now and then: a socket whose stream has ended gives no notice of its closing."""
        self.look()
        if not self._lost:
            self._loop.call_later(_LOOK_SECONDS, self._look_again)

    def _on_writable(self) -> None:
        try:
            while self._waiting:
                sent = self._pipe.send(self._waiting[0])
                if sent < len(self._waiting[0]):
                    self._waiting[0] = self._waiting[0][sent:]
                    return
                self._waiting.popleft()
        except BlockingIOError:
            return
        except OSError:  # as in chunks_received
            self._waiting.clear()
        self._loop.remove_writer(self._pipe)
        self._end_input()
        if self._lost:
            self._finish()
        else:
            self._transport.resume_reading()

    def _end_input(self) -> None:
        if self._peer_ended and not self._waiting:
            with suppress(OSError):
                self._pipe.shutdown(socket.SHUT_WR)

    def _hung_up(self) -> bool:
        """Return whether no descriptor of the application's end is open any more."""
        poll = select.poll()
        poll.register(self._pipe, 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    def _fail(self, error: OSError) -> None:
        """The connection did not open: closing the pair with junk unread tells who polls."""
        self.error = error
        self.failed = True
        self._finish()
        self.decided.set()

    def _finish(self) -> None:
        if self.error is not None and not self.junk:
            self._poison()
        self._pipe.close()

    def _poison(self) -> None:
        """Put an octet into the pair that nobody will read, in the application's name.

        Its descriptor may be closed and its number in use for something else.
        """
        with suppress(OSError):
            if os.fstat(self._descriptor).st_ino != self._inode:
                return
            with socket.socket(fileno=os.dup(self._descriptor)) as same:
                if os.fstat(same.fileno()).st_ino == self._inode:
                    same.send(b"\0", socket.MSG_DONTWAIT)


_RELAYS: Final[WeakSet[Relay]] = WeakSet()


async def drained(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Wait until what was written to sockets before they closed is the stack's to deliver."""
    deadline = loop.time() + seconds
    while any(relay.drains(loop) for relay in tuple(_RELAYS)):
        if loop.time() >= deadline:
            return
        await asyncio.sleep(_DRAIN_SECONDS)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the ends for the application and for the relay, which does not block."""
    application, pipe = socket.socketpair()
    pipe.settimeout(0)
    return application, pipe


def _nothing() -> None:
    """Do nothing."""
