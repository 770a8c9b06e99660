"""Listening sockets over a stack."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from functools import partial

from plait.aio.server import Server
from plait.aio.stack import Stack
from plait.errors import UsageError
from plait.host.settings import Settings
from plait.sockets.errors import os_error
from plait.sockets.loop import at_once
from plait.sockets.relay import Relay, pair


class Listener:
    """Takes connections of a stack for a listening socket, which is readable while some wait.

    Args:
        loop: The stack's.
        pipe: The other end of the listening socket's pair, which has an octet for each of them.
        backlog: How many may wait; further ones are reset.

    Attributes:
        waiting: Connections to accept, with the application's ends.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipe: socket.socket,
        backlog: int,
    ) -> None:
        self.waiting: deque[tuple[socket.socket, Relay]] = deque()
        self._loop = loop
        self._pipe = pipe
        self._backlog = max(backlog, 1)
        self._server: Server | None = None

    def open(
        self, stack: Stack, host: str | None, port: int, settings: Settings, reason: str | None
    ) -> int:
        """Listen at a numeric address, None for all, and return the port.  Raises OSError."""
        self._server = _serve(stack, self._make, host, port, settings, reason)
        self._loop.add_reader(self._pipe, self._on_closed)
        return self._server.port

    def _make(self) -> Relay:
        application, pipe = pair()
        relay = Relay(self._loop, application, pipe)
        relay.on_open = partial(self._on_open, application, relay)
        return relay

    def _on_open(self, application: socket.socket, relay: Relay) -> None:
        if len(self.waiting) >= self._backlog:
            application.close()
            relay.abandon()
            return
        self.waiting.append((application, relay))
        self._pipe.send(b"\0")

    def _on_closed(self) -> None:
        """The listening socket was closed."""
        self._loop.remove_reader(self._pipe)
        self._pipe.close()
        if self._server is not None:
            self._server.close()
        while self.waiting:
            application, relay = self.waiting.popleft()
            application.close()
            relay.abandon()


def probe_port(stack: Stack, host: str | None, port: int) -> int:
    """Return a port that can be listened on, `port` unless that is 0.  Raises OSError."""
    server = _serve(stack, asyncio.Protocol, host, port)
    server.close()
    return server.port


def _serve(
    stack: Stack,
    factory: Callable[[], asyncio.Protocol],
    host: str | None,
    port: int,
    settings: Settings | None = None,
    reason: str | None = None,
) -> Server:
    """Listen at a numeric address.  Raises OSError with EADDRINUSE."""
    serving = stack.create_server(factory, host, port, settings=settings, reason=reason)
    try:
        return at_once(serving)  # only names have to be waited for
    except UsageError as error:
        raise os_error(errno.EADDRINUSE, str(error)) from None
