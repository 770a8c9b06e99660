"""Stream readers and writers, asyncio's own, on whatever rung of the ladder can serve them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, Unpack

from plait.aio.opening import (
    AnyServer,
    ConnectOptions,
    ServeOptions,
    create_connection,
    create_server,
)

LIMIT: Final = 1 << 16
"""Octets a reader holds before it pauses its transport, at twice that; asyncio's default."""

ClientConnected: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None
]


async def open_connection(
    host: str, port: int, *, limit: int = LIMIT, **options: Unpack[ConnectOptions]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect and return reader and writer, as `asyncio.open_connection` does.

    Args:
        host: A name or a numeric address.
        port: The remote port.
        limit: The reader's limit in octets.
        options: Those of `create_connection`, whose errors are raised as well.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_connection(lambda: protocol, host, port, **options)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected: ClientConnected,
    host: str | None,
    port: int,
    *,
    limit: int = LIMIT,
    **options: Unpack[ServeOptions],
) -> AnyServer:
    """Listen and call `client_connected` with reader and writer of every connection.

    Args:
        client_connected: A function or coroutine function, which becomes a task.
        host: An address of ours, or None for all.
        port: 0 for any; `port` of the server tells.
        limit: The readers' limit in octets.
        options: Those of `create_server`, whose errors are raised as well.
    """
    loop = asyncio.get_running_loop()

    def protocol_factory() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        return asyncio.StreamReaderProtocol(reader, client_connected, loop=loop)

    return await create_server(protocol_factory, host, port, **options)
