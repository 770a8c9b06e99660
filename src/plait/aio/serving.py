"""What the servers of all back ends have in common, in the shape of asyncio's."""

from __future__ import annotations

import asyncio
from abc import abstractmethod


class Serving(asyncio.AbstractServer):
    """Accepts connections until it is closed, and counts those that are open."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections = 0
        self._serving = True
        self._finished = asyncio.Event()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the server runs on."""
        return self._loop

    def is_serving(self) -> bool:
        """Return whether new connections are accepted."""
        return self._serving

    async def start_serving(self) -> None:
        """Do nothing: a server serves from the start."""

    async def serve_forever(self) -> None:
        """Wait until canceled, then close."""
        try:
            await self._loop.create_future()
        finally:
            self.close()

    def close(self) -> None:
        """Accept no more; connections that are open stay so."""
        if self._serving:
            self._serving = False
            self._stop()
            self._check_finished()

    async def wait_closed(self) -> None:
        """Wait until the server is closed and its last connection has ended."""
        await self._finished.wait()

    def attach(self) -> None:
        """Count a connection in."""
        self._connections += 1

    def detach(self) -> None:
        """Count a connection out."""
        self._connections -= 1
        self._check_finished()

    @abstractmethod
    def _stop(self) -> None:
        """Listen no more."""

    def _check_finished(self) -> None:
        if not self._serving and not self._connections:
            self._finished.set()
