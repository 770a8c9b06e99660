"""A relay joins two transports: what one receives the other sends.

The ends of streams pass one by one, back pressure passes at once, and a connection that is reset on
one side is reset on the other.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, cast

from plait.aio.protocols import ChunkProtocol
from plait.buffers import Buffer

_RESET: Final = struct.pack("@ii", 1, 0)
"""struct linger: closing discards what waits, and resets."""

_LOOK_SECONDS: Final = 0.01


class RelayEnd(ChunkProtocol):
    """The protocol of one of two transports; `pair` makes both.

    Attributes:
        other: The other one.
        transport: None before `connection_made`.
        ended: The peer on this side has ended its stream.
        lost: The connection on this side is gone.
        on_done: Called when both sides are.
    """

    def __init__(self) -> None:
        self.other = self
        self.on_done: Callable[[], None] | None = None
        self.transport: asyncio.Transport | None = None
        self.ended = False
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; nothing is read before the other side is there."""
        self.transport = cast("asyncio.Transport", transport)
        if self.other.lost:
            reset(self.transport)
        elif self.other.transport is None:
            self.transport.pause_reading()
        else:
            self.other.transport.resume_reading()

    def chunks_received(self, chunks: Sequence[Buffer]) -> None:
        """Send on."""
        assert self.other.transport is not None
        *most, last = chunks
        self.other.transport.writelines(most)  # Python 3.12 and 3.13 forget back pressure here
        self.other.transport.write(last)

    def eof_received(self) -> bool:
        """End the stream on the other side; after the end of both, close."""
        self.ended = True
        assert self.transport is not None
        assert self.other.transport is not None
        with suppress(OSError):  # it is being lost, which will be told
            self.other.transport.write_eof()
        if self.other.ended:
            self.transport.close()
            self.other.transport.close()
        return True

    def pause_writing(self) -> None:
        """Read no more on the other side than this one takes."""
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """End the other side as this one ended."""
        self.lost = True
        other = self.other.transport
        if self.other.lost:
            if self.on_done is not None:
                self.on_done()
        elif other is not None:
            if error is None and self.ended:
                other.close()
            else:
                reset(other)


def pair(on_done: Callable[[], None] | None = None) -> tuple[RelayEnd, RelayEnd]:
    """Return two protocols that relay to each other once both have their transports."""
    one, other = RelayEnd(), RelayEnd()
    one.other, other.other = other, one
    one.on_done = other.on_done = on_done
    return one, other


class Relays:
    """The relays of one loop, from `open` until both their sides are gone."""

    def __init__(self) -> None:
        self._near: set[RelayEnd] = set()

    def __len__(self) -> int:
        return len(self._near)

    def open(self, on_done: Callable[[], None]) -> tuple[RelayEnd, RelayEnd]:
        """Return the two ends of a new one: first that of the program, then that of its peer."""

        def done() -> None:
            self._near.discard(near)
            on_done()

        near, far = pair(done)
        self._near.add(near)
        return near, far

    def drop(self, near: RelayEnd) -> None:
        """Forget one whose sides never both came."""
        self._near.discard(near)

    async def drained(self, seconds: float) -> None:
        """Wait until all that programs wrote was taken over: they have closed their ends."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(near.ended or near.lost for near in self._near):
                return
            await asyncio.sleep(_LOOK_SECONDS)


def reset(transport: asyncio.Transport) -> None:
    """End a connection at once and have its peer hear of a reset."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
