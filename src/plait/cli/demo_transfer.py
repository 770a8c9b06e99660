"""One transfer of the demonstration: a file one way, its SHA-256 back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import IO, Final, cast

DIGEST: Final = 32
"""Octets of the receiver's answer."""

_BLOCK: Final = 1 << 16


class Tally:
    """What a receiver has seen so far.

    Attributes:
        octets: Octets received.
        last: When the newest arrived, in seconds of the loop's clock.
        longest_gap: Longest time without any, in seconds, since `mark` was called.
    """

    def __init__(self) -> None:
        self.octets = 0
        self.last = 0.0
        self.longest_gap = 0.0
        self._hash = hashlib.sha256()
        self._marked = False

    def mark(self) -> None:
        """Measure gaps from now on."""
        self._marked = True

    def add(self, data: bytes, now: float) -> None:
        """Take what arrived at `now`."""
        if self._marked:
            self.longest_gap = max(self.longest_gap, now - self.last)
        self.last = now
        self.octets += len(data)
        self._hash.update(data)

    def digest(self) -> bytes:
        """Return the SHA-256 of everything so far."""
        return self._hash.digest()


class Receiver(asyncio.Protocol):
    """Tallies a stream up to its end and answers with the digest.

    Args:
        on_made: Called when the connection is open.
    """

    transport: asyncio.Transport

    def __init__(self, on_made: Callable[[Receiver], None]) -> None:
        self.tally = Tally()
        self._on_made = on_made
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Announce the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """Tally."""
        self.tally.add(data, self._loop.time())

    def eof_received(self) -> bool:
        """Answer and close."""
        self.transport.write(self.tally.digest())
        self.transport.close()
        return True


class Upload(asyncio.Protocol):
    """Sends a file and waits for the receiver's digest."""

    transport: asyncio.Transport

    def __init__(self, file: IO[bytes]) -> None:
        self.digest: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._file = file
        self._answer = b""
        self._paused = False
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to send."""
        self.transport = cast("asyncio.Transport", transport)
        asyncio.get_running_loop().call_soon(self._fill)

    def pause_writing(self) -> None:
        """Wait: the transport is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """Send on."""
        self._paused = False
        self._fill()

    def data_received(self, data: bytes) -> None:
        """Keep the answer."""
        self._answer += data

    def eof_received(self) -> bool:
        """Finish."""
        if len(self._answer) == DIGEST and not self.digest.done():
            self.digest.set_result(self._answer)
        self.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail if there is no answer."""
        self._ended = True
        if not self.digest.done():
            self.digest.set_exception(exc or ConnectionAbortedError("the receiver did not answer"))
            self.digest.exception()  # an interrupted demonstration does not ask

    def _fill(self) -> None:
        """Write until the transport is full or the file at its end."""
        while not self._paused and not self._ended:
            block = self._file.read(_BLOCK)
            if not block:
                self._ended = True
                self.transport.write_eof()
                return
            self.transport.write(block)
