"""A listening port of a stack, in the shape of asyncio's servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from plait.aio.pump import Pump
from plait.host.settings import Settings


class Server(asyncio.AbstractServer):
    """Accepts connections until it is closed.

    Args:
        pump: The pump of the stack.
        listener_id: The host's name for the listener.
        protocol_factory: Called for every connection.
        settings: What its connections are opened with.
        reason: Why they run on a stack and not on what was preferred.
    """

    def __init__(
        self,
        pump: Pump,
        listener_id: int,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        settings: Settings,
        reason: str | None = None,
    ) -> None:
        self.protocol_factory = protocol_factory
        self.settings = settings
        self.reason = reason
        self.port = pump.host.listener_port(listener_id)
        self._pump = pump
        self._listener_id = listener_id
        self._connections = 0
        self._serving = True
        self._finished = asyncio.Event()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Return nothing: a stack has no sockets.  `port` is what they would tell."""
        return ()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the server runs on."""
        return asyncio.get_running_loop()

    def is_serving(self) -> bool:
        """Return whether new connections are accepted."""
        return self._serving

    async def start_serving(self) -> None:
        """Do nothing: a server serves from the start."""

    async def serve_forever(self) -> None:
        """Wait until canceled, then close."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.close()

    def close(self) -> None:
        """Accept no more; connections that are open stay so."""
        if not self._serving:
            return
        self._serving = False
        self._pump.host.close_listener(self._pump.now(), self._listener_id)
        self._pump.owe()
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

    def _check_finished(self) -> None:
        if not self._serving and not self._connections:
            self._finished.set()
