"""Stream readers and writers, asyncio's own, over a stack or the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeAlias, TypeVar

LIMIT: Final = 1 << 16
"""Octets a reader holds before it pauses its transport, at twice that; asyncio's default."""

_Server = TypeVar("_Server")
_Server_co = TypeVar("_Server_co", covariant=True)

ClientConnected: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None
]


class Backend(Protocol[_Server_co]):
    """What streams need: the two methods that `Stack` and `Kernel` share."""

    @property
    def create_connection(self) -> Callable[..., Awaitable[tuple[Any, Any]]]:
        """The method that connects, as an event loop's."""

    @property
    def create_server(self) -> Callable[..., Awaitable[_Server_co]]:
        """The method that listens, as an event loop's."""


async def open_connection(
    host: str, port: int, *, stack: Backend[Any], limit: int = LIMIT, **options: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect and return reader and writer, as `asyncio.open_connection` does.

    Args:
        host: A numeric address or a name.
        port: The remote port.
        stack: What the connection runs on.
        limit: The reader's limit in octets.
        options: For the stack's `create_connection`.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await stack.create_connection(lambda: protocol, host, port, **options)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected: ClientConnected,
    host: str | None,
    port: int,
    *,
    stack: Backend[_Server],
    limit: int = LIMIT,
    **options: Any,
) -> _Server:
    """Listen and call `client_connected` with reader and writer of every connection.

    Args:
        client_connected: A function or coroutine function, which becomes a task.
        host: An address of the stack, or None for all.
        port: 0 lets the stack choose.
        stack: What the server runs on.
        limit: The readers' limit in octets.
        options: For the stack's `create_server`.
    """
    loop = asyncio.get_running_loop()

    def protocol_factory() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        return asyncio.StreamReaderProtocol(reader, client_connected, loop=loop)

    return await stack.create_server(protocol_factory, host, port, **options)
