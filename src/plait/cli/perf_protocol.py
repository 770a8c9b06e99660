"""What `plait perf` speaks on its connections.

The client sends a request of 16 octets, in network order:

    magic "plPf" | version 1 | direction 0 or 1 | unit 0 or 1 | 0 | amount, 8 octets

Direction 0 has the client send data, 1 the server.  The sender stops after `amount` octets
(unit 0) or milliseconds (unit 1) and half-closes.  The receiver counts up to the end of the
stream; a server that received then answers with a result of 16 octets,

    magic "plRs" | 4 octets 0 | octets counted, 8 octets

so that the client reports what arrived and not what it handed to a buffer.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self, cast

from plait.aio.protocols import ChunkProtocol
from plait.buffers import Buffer
from plait.errors import DecodeError

_REQUEST: Final = struct.Struct("!4sBBBxQ")
_RESULT: Final = struct.Struct("!4s4xQ")
_REQUEST_MAGIC: Final = b"plPf"
_RESULT_MAGIC: Final = b"plRs"
_VERSION: Final = 1

MESSAGE: Final = 16
"""Octets of a request and of a result."""

BLOCK: Final = bytes(range(256)) * 2048
"""What is sent again and again: 512 KiB that are never copied."""

_HIGH: Final = 1 << 20
"""Octets a transport may hold back before the source pauses."""

_BLOCKS_PER_TURN: Final = 4
"""Blocks written before the event loop gets to do something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asks for; exactly one of `octets` and `milliseconds` is not None."""

    reverse: bool
    """The server sends."""

    octets: int | None = None
    milliseconds: int | None = None

    def serialize(self) -> bytes:
        """Return the 16 octets of the request."""
        timed = self.milliseconds is not None
        amount = self.milliseconds if timed else self.octets
        return _REQUEST.pack(_REQUEST_MAGIC, _VERSION, self.reverse, timed, amount)

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Decode 16 octets.  Raises DecodeError if they are no request of this version."""
        magic, version, reverse, timed, amount = _REQUEST.unpack(octets)
        if magic != _REQUEST_MAGIC or version != _VERSION or reverse > 1 or timed > 1:
            raise DecodeError("this is no request of plait perf")
        return cls(
            reverse=bool(reverse),
            octets=None if timed else amount,
            milliseconds=amount if timed else None,
        )


def serialize_result(octets: int) -> bytes:
    """Return the 16 octets that tell how much a server received."""
    return _RESULT.pack(_RESULT_MAGIC, octets)


def parse_result(message: bytes) -> int:
    """Return the octets a server received.  Raises DecodeError."""
    if len(message) != MESSAGE:
        raise DecodeError("a result is 16 octets", len(message))
    magic, octets = _RESULT.unpack(message)
    if magic != _RESULT_MAGIC:
        raise DecodeError("this is no result of plait perf")
    return int(octets)


class Source:
    """Writes as much as a request asks for, as fast as the transport takes it, then half-closes."""

    def __init__(self, transport: asyncio.Transport, request: Request) -> None:
        self.octets = 0
        """Octets handed to the transport."""

        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._limit = request.octets
        self._paused = False
        self._ended = False
        transport.set_write_buffer_limits(high=_HIGH)
        if request.milliseconds is not None:
            self._loop.call_later(request.milliseconds / 1000, self._end)
        self._loop.call_soon(self._fill)

    def pause(self) -> None:
        """Write no more until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Write on."""
        self._paused = False
        self._fill()

    def stop(self) -> None:
        """Write nothing more: the connection is gone."""
        self._ended = True

    def _fill(self) -> None:
        """Write a few blocks and come back soon."""
        for _ in range(_BLOCKS_PER_TURN):
            if self._paused or self._ended:
                return
            block = BLOCK
            if self._limit is not None and self._limit - self.octets < len(block):
                block = block[: self._limit - self.octets]
            if not block:
                self._end()
                return
            self.octets += len(block)
            self._transport.write(block)
        self._loop.call_soon(self._fill)

    def _end(self) -> None:
        """End the stream."""
        if not self._ended:
            self._ended = True
            self._transport.write_eof()


class PerfProtocol(ChunkProtocol):
    """What both sides have in common: counting, a source, and the end.

    Args:
        look: Called when the stream has ended and the connection has not: the last moment at
            which a back end knows all subflows.
    """

    transport: asyncio.Transport

    def __init__(self, look: Callable[[], object]) -> None:
        self.look = look
        self.received = 0
        """Octets of data received."""

        self.source: Source | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """The end of the connection; an exception if it was not what the protocol says."""

    @property
    def sent(self) -> int:
        """Octets of data that have left the transport's buffer."""
        if self.source is None:
            return 0
        return max(self.source.octets - self.transport.get_write_buffer_size(), 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """Pause the source."""
        if self.source is not None:
            self.source.pause()

    def resume_writing(self) -> None:
        """Let the source go on."""
        if self.source is not None:
            self.source.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle `done`."""
        if self.source is not None:
            self.source.stop()
        if not self.done.done():
            self.done.set_exception(exc or ConnectionAbortedError("the peer closed too early"))
            self.done.exception()  # a server may never ask

    def finish(self, error: Exception | None = None) -> None:
        """Settle `done` and close the connection."""
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        self.transport.close()


class ClientProtocol(PerfProtocol):
    """Asks, then sends or counts."""

    def __init__(self, request: Request, look: Callable[[], object]) -> None:
        super().__init__(look)
        self.request = request
        self.confirmed: int | None = None
        """Octets of data that reached the receiver, once that is known."""

        self._result = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        super().connection_made(transport)
        self.transport.write(self.request.serialize())
        if not self.request.reverse:
            self.source = Source(self.transport, self.request)

    def chunks_received(self, chunks: Sequence[Buffer]) -> None:
        """Count data, or keep the result."""
        if self.request.reverse:
            self.received += sum(map(len, chunks))
        else:
            self._result += b"".join(chunks)

    def eof_received(self) -> bool:
        """Check what the other side said."""
        self.look()
        if self.request.reverse:
            self.confirmed = self.received
            self.finish()
            return True
        try:
            self.confirmed = parse_result(self._result)
        except DecodeError:
            self.finish(ConnectionAbortedError("the server ended without a result"))
            return True
        sent = self.source.octets if self.source is not None else 0
        if self.confirmed != sent:
            text = f"sent {sent} octets, but the server received {self.confirmed}"
            self.finish(ConnectionAbortedError(text))
        else:
            self.finish()
        return True


class ServerProtocol(PerfProtocol):
    """Does what the first 16 octets ask for.

    Args:
        on_made: Called when the connection is open.
        on_done: Called when it has ended.
    """

    def __init__(
        self,
        look: Callable[[], object],
        on_made: Callable[[ServerProtocol], None],
        on_done: Callable[[ServerProtocol], None],
    ) -> None:
        super().__init__(look)
        self.request: Request | None = None
        self._on_made = on_made
        self._on_done = on_done
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        super().connection_made(transport)
        self._on_made(self)

    def chunks_received(self, chunks: Sequence[Buffer]) -> None:
        """Count data; the first octets are the request."""
        if self.request is not None:
            self.received += sum(map(len, chunks))
            return
        self._head += b"".join(chunks)
        if len(self._head) < MESSAGE:
            return
        try:
            self.request = Request.parse(self._head[:MESSAGE])
        except DecodeError:
            self.transport.abort()
            return
        self.received = len(self._head) - MESSAGE
        if self.request.reverse:
            self.source = Source(self.transport, self.request)

    def eof_received(self) -> bool:
        """Answer how much arrived; a client that was sent data has now seen its end."""
        self.look()
        if self.request is not None and not self.request.reverse:
            self.transport.write(serialize_result(self.received))
        self.finish()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the server."""
        super().connection_lost(exc)
        self._on_done(self)
