"""asyncio's own transport for a connection of the kernel, which knows what it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, cast

from plait.aio.kernel_connection import KernelConnection
from plait.aio.kernel_socket import KernelSocket
from plait.linux.mptcp_sockets import set_nodelay

_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)


class _Nobody(asyncio.Protocol):
    """Holds the place of the protocol until the transport knows its connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read nothing that the protocol should get."""
        cast("asyncio.Transport", transport).pause_reading()


async def make_transport(
    sock: KernelSocket,
    connection: KernelConnection,
    factory: Callable[[], _Protocol],
    *,
    nodelay: bool,
    data: bytes = b"",
) -> tuple[asyncio.Transport, _Protocol]:
    """Return a transport over a connected socket, which owns it, and its protocol.

    The protocol finds the connection by `get_extra_info("plait")` from `connection_made` on.

    Args:
        data: Written before all else.
    """
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(_Nobody, sock=sock)
    try:
        set_nodelay(sock, nodelay=nodelay)  # asyncio has set it on TCP, and not on Multipath TCP
        # asyncio has no public way to add to what a transport tells.
        transport._extra["plait"] = connection  # type: ignore[attr-defined]  # noqa: SLF001
        protocol = factory()
        transport.set_protocol(protocol)
        if data:
            transport.write(data)
        transport.resume_reading()
        protocol.connection_made(transport)
    except BaseException:
        transport.abort()
        raise
    return transport, protocol
