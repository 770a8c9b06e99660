"""A listening port of a stack, in the shape of asyncio's servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from plait.aio.pump import Pump
from plait.aio.serving import Serving


class Server(Serving):
    """Accepts connections until it is closed.

    Args:
        pump: The pump of the stack.
        listener_id: The host's name for the listener.
        protocol_factory: Called for every connection.
        on_closed: Called once it is closed.
        reason: Why its connections run on a stack and not on what was preferred.
    """

    def __init__(
        self,
        pump: Pump,
        listener_id: int,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        on_closed: Callable[[], object],
        reason: str | None = None,
    ) -> None:
        super().__init__()
        self.protocol_factory = protocol_factory
        self.reason = reason
        self.port = pump.host.listener_port(listener_id)
        self._pump = pump
        self._listener_id = listener_id
        self._on_closed = on_closed

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Return nothing: a stack has no sockets.  `port` is what they would tell."""
        return ()

    def _stop(self) -> None:
        self._pump.host.close_listener(self._pump.now(), self._listener_id)
        self._pump.owe()
        self._on_closed()
