"""A protocol that takes what arrives where it lies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from plait.buffers import Buffer


class ChunkProtocol(asyncio.Protocol):
    """Receives data as the chunks it arrived in, which nothing has copied.

    On the transports of `Stack` the chunks are views of the packets that the network delivered:
    hand them to `writelines`, `os.writev` or `sendmsg`, or copy what is to stay, since each of them
    keeps the whole packet.  Any other transport has one chunk at a time, of its own.
    """

    def chunks_received(self, chunks: Sequence[Buffer]) -> None:
        """Take data; all chunks are bytes or memoryviews of octets, and none is empty."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Take data from a transport that knows nothing of chunks."""
        self.chunks_received((data,))
