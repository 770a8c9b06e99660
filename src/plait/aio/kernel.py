"""The kernel's own Multipath TCP behind the interface of `plait.aio.stack.Stack`.

Connections are ordinary asyncio transports over IPPROTO_MPTCP sockets, so the same protocols run
over either back end.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any, Final, TypeVar

from plait.errors import UsageError
from plait.host.settings import Settings
from plait.linux import mptcp_sockets, sockopts
from plait.linux.counters import KernelCounters
from plait.linux.mptcp_sockets import SocketOptions
from plait.mptcp.info import ConnectionInfo

_PROTOCOL = TypeVar("_PROTOCOL", bound=asyncio.BaseProtocol)

_RETRY_SECONDS: Final = 1.0
"""How long a listener rests when the process is out of descriptors."""

_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class KernelServer:
    """A listening socket that hands every accepted connection to a new protocol."""

    def __init__(
        self, sock: socket.socket, protocol_factory: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._sock = sock
        self._factory = protocol_factory
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        sock.settimeout(0)  # non-blocking
        self.port: int = sock.getsockname()[1]
        """The port listened on."""

        self._loop.add_reader(sock.fileno(), self._on_readable)

    def close(self) -> None:
        """Stop accepting; connections already accepted go on."""
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._closed.set()

    async def wait_closed(self) -> None:
        """Wait until `close` was called and connections being handed over are settled."""
        await self._closed.wait()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _on_readable(self) -> None:
        """Accept all that wait."""
        while True:
            try:
                accepted, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._loop.remove_reader(self._sock.fileno())
                self._loop.call_later(_RETRY_SECONDS, self._resume)
                return
            task = self._loop.create_task(self._hand_over(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, accepted: socket.socket) -> None:
        """Make a transport of an accepted socket; one that is already dead is dropped."""
        try:
            accepted.settimeout(0)
            mptcp_sockets.set_nodelay(accepted)
        except OSError:
            accepted.close()
            return
        await self._loop.connect_accepted_socket(self._factory, accepted)

    def _resume(self) -> None:
        """Accept again after a rest."""
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._on_readable)


class Kernel:
    """Multipath TCP of the kernel, on the running event loop.

    Args:
        mptcp: False for plain TCP sockets.
        congestion: A congestion control of the kernel; None leaves the choice to its sysctl.

    Raises:
        UsageError: The kernel cannot make such sockets.
    """

    def __init__(self, *, mptcp: bool = True, congestion: str | None = None) -> None:
        self._options = SocketOptions(mptcp=mptcp, congestion=congestion)
        mptcp_sockets.make_socket(socket.AF_INET, self._options).close()
        self.counters = KernelCounters()
        """What the namespace counted since this object was made, other programs' part included."""

        self._servers: set[KernelServer] = set()

    async def create_connection(
        self,
        protocol_factory: Callable[[], _PROTOCOL],
        host: str,
        port: int,
        *,
        local: str | None = None,
        settings: Settings | None = None,
    ) -> tuple[asyncio.Transport, _PROTOCOL]:
        """Connect and return the transport and the protocol.

        Args:
            local: Address to connect from.
            settings: Only `mptcp` and `congestion` mean something to the kernel.

        Raises:
            OSError: No address of `host` answered.
            UsageError: `host` has no address, or `local` is not one of this machine.
        """
        options = self._options_of(settings)
        sock = await mptcp_sockets.connect(host, port, options, local=local)
        try:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(protocol_factory, sock=sock)
        except BaseException:
            sock.close()
            raise
        return transport, protocol

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None,
        port: int,
        *,
        settings: Settings | None = None,
    ) -> KernelServer:
        """Listen, on every address if `host` is None, and return the server.

        Raises UsageError if the address is not ours or the port is taken.
        """
        sock = mptcp_sockets.listen(host, port, self._options_of(settings))
        server = KernelServer(sock, protocol_factory)
        self._servers.add(server)
        return server

    def info(self, transport: asyncio.BaseTransport) -> ConnectionInfo:
        """Return a snapshot of the connection.  Raises UsageError once it is closed."""
        sock: Any = transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            raise UsageError("the connection is closed: ask before connection_lost returns")
        try:
            return sockopts.connection_info(sock)
        except OSError as error:
            raise UsageError(f"the kernel tells no more of this connection: {error}") from None

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
        """Return the kernel's share of `settings`."""
        if settings is None:
            return self._options
        return SocketOptions(mptcp=settings.mptcp, congestion=settings.congestion)
