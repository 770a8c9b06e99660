"""A stream that flows for as long as a scenario likes, and what its reader sees of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulated import Ends, World

BLOCK = 1 << 15
_PATTERN = bytes(range(251)) * 1024
"""Its period is no power of two, so that octets out of place do not go unnoticed."""

REQUEST = b"begin"


class Flow:
    """Octets from one end to the other until `stop`.

    Attributes:
        octets: What was read.
        longest: Seconds of the longest silence at the reader since `watch`.
        sender: The end that writes.
        receiver: The end that reads.
    """

    def __init__(self, sender: Ends, receiver: Ends) -> None:
        self.octets = 0
        self.longest = 0.0
        self.sender = sender
        self.receiver = receiver
        self._last = time.monotonic()
        self._stopping = False
        self._both = asyncio.gather(self._send(), self._receive())

    def watch(self) -> float:
        """Return the longest silence so far, that which goes on counted, and begin anew."""
        self._note()
        longest, self.longest = self.longest, 0.0
        return longest

    async def stop(self) -> None:
        """End the stream; raises RuntimeError if what was read is not what was written."""
        self._stopping = True
        sent, arrived = await self._both
        self._drop()
        if sent != arrived:
            raise RuntimeError("the streams differ")

    async def abort(self) -> None:
        """Leave the stream as it is and drop both ends."""
        self._both.cancel()
        with suppress(asyncio.CancelledError):
            await self._both
        self._drop()

    def _drop(self) -> None:
        for _, writer in (self.sender, self.receiver):
            writer.transport.abort()

    async def _send(self) -> bytes:
        writer, hashed, at = self.sender[1], sha256(), 0
        while not self._stopping:
            block = _PATTERN[at : at + BLOCK]
            at = (at + len(block)) % 251
            hashed.update(block)
            writer.write(block)
            await writer.drain()
        writer.write_eof()
        return hashed.digest()

    async def _receive(self) -> bytes:
        hashed = sha256()
        while block := await self.receiver[0].read(BLOCK):
            self._note()
            self._last = time.monotonic()
            self.octets += len(block)
            hashed.update(block)
        return hashed.digest()

    def _note(self) -> None:
        self.longest = max(self.longest, time.monotonic() - self._last)


async def begin(world: World, *, up: bool) -> Flow:
    """Connect and let who connects send if `up`, or the other one on request."""
    ours, theirs = await world.open()
    ours[1].write(REQUEST)
    await theirs[0].readexactly(len(REQUEST))
    if up:  # an answer completes the handshake that joins wait for
        theirs[1].write(REQUEST)
        await ours[0].readexactly(len(REQUEST))
    return Flow(ours, theirs) if up else Flow(theirs, ours)
