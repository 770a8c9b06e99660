"""A relay joins two transports: what one receives the other sends.

The ends of streams pass one by one, back pressure passes at once, and a connection that is reset on
one side is reset on the other.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final, cast

_RESET: Final = struct.pack("@ii", 1, 0)
"""struct linger: closing discards what waits, and resets."""


class RelayEnd(asyncio.Protocol):
    """The protocol of one of two transports; `pair` makes both.

    Attributes:
        other: The other one.
        transport: None before `connection_made`.
        octets: What was received here and handed to the other end.
        ended: The peer on this side has ended its stream.
        lost: The connection on this side is gone.
    """

    def __init__(self) -> None:
        self.other = self
        self.transport: asyncio.Transport | None = None
        self.octets = 0
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

    def data_received(self, data: bytes) -> None:
        """Send on."""
        self.octets += len(data)
        assert self.other.transport is not None
        self.other.transport.write(data)

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
        if other is None or self.other.lost:
            return
        if error is None and self.ended:
            other.close()
        else:
            reset(other)


def pair() -> tuple[RelayEnd, RelayEnd]:
    """Return two protocols that relay to each other once both have their transports."""
    one, other = RelayEnd(), RelayEnd()
    one.other, other.other = other, one
    return one, other


def reset(transport: asyncio.Transport) -> None:
    """End a connection at once and have its peer hear of a reset."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
