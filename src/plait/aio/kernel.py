"""The kernel's own Multipath TCP behind the interface of `plait.aio.stack.Stack`.

Connections are ordinary asyncio transports over IPPROTO_MPTCP sockets, so the same protocols run
over either back end.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakSet

from plait.aio import eyeballs
from plait.aio.connection import connection_of
from plait.aio.eyeballs import ATTEMPT_DELAY, LocalAddrs, Target, local_addresses
from plait.aio.kernel_connection import KernelConnection
from plait.aio.kernel_server import KernelServer
from plait.aio.kernel_socket import KernelSocket
from plait.aio.kernel_transport import make_transport
from plait.errors import NotSupportedError, UsageError
from plait.host.settings import Settings
from plait.linux import mptcp_sockets
from plait.linux.counters import KernelCounters
from plait.linux.socket_options import SocketOptions, options_of
from plait.mptcp.info import ConnectionInfo

_PROTOCOL = TypeVar("_PROTOCOL", bound=asyncio.BaseProtocol)


class Kernel:
    """Multipath TCP of the kernel, on the running event loop.

    Args:
        mptcp: False for plain TCP sockets.
        congestion: A congestion control of the kernel; None leaves the choice to its sysctl.
        counting: Whether `counters` will be asked for.

    Attributes:
        options: What its sockets are unless settings say otherwise.

    Raises:
        NotSupportedError: The kernel cannot make such sockets.
    """

    def __init__(
        self, *, mptcp: bool = True, congestion: str | None = None, counting: bool = True
    ) -> None:
        self.options = SocketOptions(mptcp=mptcp, congestion=congestion)
        mptcp_sockets.make_socket(socket.AF_INET, self.options).close()
        self._counters = KernelCounters() if counting else None
        self._servers: WeakSet[KernelServer] = WeakSet()

    @property
    def counters(self) -> KernelCounters:
        """What the namespace counted since this object was made, other programs' part included."""
        if self._counters is None:
            raise UsageError("nothing is counted: make the Kernel with counting=True")
        return self._counters

    async def create_connection(
        self,
        protocol_factory: Callable[[], _PROTOCOL],
        host: str,
        port: int,
        *,
        local_addr: LocalAddrs | None = None,
        settings: Settings | None = None,
        data: bytes = b"",
        happy_eyeballs_delay: float | None = ATTEMPT_DELAY,
        reason: str | None = None,
    ) -> tuple[asyncio.Transport, _PROTOCOL]:
        """Connect and return the transport and the protocol.

        Args:
            local_addr: Addresses to connect from, tried in turn.
            settings: `mptcp`, `congestion`, `nodelay`, `fast_open`, buffers, keep-alive and, on
                plain TCP, `user_timeout` mean something to the kernel.
            data: Written before all else; with `Settings.fast_open` it may leave on the SYN.
            happy_eyeballs_delay: Connection Attempt Delay in seconds; None for one by one.
            reason: Why it runs on this and not on what was preferred, for `info.fallback_reason`.

        Raises:
            OSError: `host` has no address, or none answered.
            UsageError: A local address is not one of this machine.
            NotSupportedError: The kernel's Multipath TCP refuses a setting.
        """
        options = self._options_of(settings)

        async def attempt(target: Target) -> tuple[socket.socket, bytes]:
            local = None if target.local is None else (str(target.local[0]), target.local[1])
            return await mptcp_sockets.connect(
                target.family, target.remote, options, local=local, data=data
            )

        connected, rest = await eyeballs.connect(
            host,
            port,
            attempt,
            lambda made: made[0].close(),
            delay=happy_eyeballs_delay,
            local=local_addresses(local_addr),
        )
        sock = KernelSocket(connected)
        try:
            why = options.why_tcp
            connection = KernelConnection(sock, reason or why, wanted=why is None)
            return await make_transport(
                sock, connection, protocol_factory, nodelay=options.nodelay, data=rest
            )
        except BaseException:
            sock.close()
            raise

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None,
        port: int,
        *,
        settings: Settings | None = None,
        reason: str | None = None,
    ) -> KernelServer:
        """Listen, on every address if `host` is None, and return the server.

        Raises:
            UsageError: The address is not ours or the port is taken.
            NotSupportedError: The kernel's Multipath TCP refuses a setting.
        """
        options = self._options_of(settings)
        sock = mptcp_sockets.listen(host, port, options)
        server = KernelServer(sock, protocol_factory, options, reason or options.why_tcp)
        self._servers.add(server)
        return server

    def info(self, transport: asyncio.BaseTransport) -> ConnectionInfo:
        """Return a snapshot of the connection, the last one if it has ended."""
        return connection_of(transport).info

    async def close(self, seconds: float = 0) -> None:
        """Stop every server.

        Args:
            seconds: Means something to a `Stack` only: the kernel delivers what was written even
                when the process has ended.
        """
        for server in self._servers:
            server.close()
        self._servers.clear()

    def _options_of(self, settings: Settings | None) -> SocketOptions:
        """Return the kernel's share of `settings`.  Raises NotSupportedError if it has to refuse.

        A setting that the kernel's Multipath TCP refuses is for the caller to give up, or Multipath
        TCP is, or the kernel.
        """
        if settings is None:
            return self.options
        options = options_of(settings, self.options)
        if options.mptcp and options.why_tcp is not None:
            raise NotSupportedError(options.why_tcp)
        return options
