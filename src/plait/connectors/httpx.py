"""httpx: a transport for its clients; httpcore: network backends for its pools.

`response.extensions["network_stream"].get_extra_info("plait")` is the connection of a response.
An `AsyncClient` needs asyncio.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Unpack

import httpcore
import httpx

from plait.aio.ladder import Backend
from plait.aio.stack import Stack
from plait.aio.streams import open_connection
from plait.connectors.options import ReachOptions
from plait.errors import NotSupportedError
from plait.sockets import Socket, create_connection

_DEFAULT_LIMITS: Final = httpx.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0
)

_GOODBYE_SECONDS: Final = 1.0
"""How long closing waits for the peer's close_notify."""


class AsyncTransport(httpx.AsyncHTTPTransport):
    """Opens the connections of an `AsyncClient` with `plait.open_connection`.

    Args:
        verify: A context, or whether to verify certificates.
        http1: Whether HTTP/1.1 may be spoken.
        http2: Likewise HTTP/2, which needs `httpx[http2]`.
        limits: Of the pool.
        retries: How often connecting is tried again.
        proxy: URL of a proxy.
        options: Those of `plait.create_connection` that are about the network.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = _DEFAULT_LIMITS,
        retries: int = 0,
        proxy: str | None = None,
        **options: Unpack[ReachOptions],
    ) -> None:
        super().__init__(
            verify=verify, http1=http1, http2=http2, limits=limits, retries=retries, proxy=proxy
        )
        self._pool._network_backend = AsyncBackend(**options)  # noqa: SLF001  httpx has no argument


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """The `network_backend` of an `httpcore.AsyncConnectionPool`.

    Args:
        options: Those of `plait.create_connection` that are about the network.
    """

    def __init__(self, **options: Unpack[ReachOptions]) -> None:
        self._options = options

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect.  Socket options are settings of plait's: give those to the backend."""
        if socket_options:
            raise NotSupportedError("no socket_options here: give settings to the backend")
        options = self._options
        if local_address is not None:
            options = ReachOptions(**options)
            options["local_addr"] = local_address
        with _connecting():
            reader, writer = await open_connection(host, port, timeout=timeout, **options)
        return AsyncStream(reader, writer)

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts."""
        await asyncio.sleep(seconds)


class AsyncStream(httpcore.AsyncNetworkStream):
    """One connection, as httpcore wants it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's signature
        """Return what has arrived, nothing at the end."""
        with _mapping(httpcore.ReadTimeout, httpcore.ReadError):
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  likewise
        """Write, and wait while much has not left."""
        with _mapping(httpcore.WriteTimeout, httpcore.WriteError):
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()

    async def aclose(self) -> None:
        """Close; a peer that does not end TLS in time is not waited for."""
        self._writer.close()
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._writer.wait_closed()
        except TimeoutError:
            self._writer.transport.abort()
            await asyncio.sleep(0)  # connection_lost
        except OSError:
            return  # it is closed all the same

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  likewise
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands; the stream is TLS from here on."""
        try:
            with _connecting():
                async with asyncio.timeout(timeout):
                    await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except BaseException:
            self._writer.transport.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return `plait`, `ssl_object`, `client_addr` or `server_addr`, or None."""
        if info == "is_readable":  # of an idle connection: whether it has ended
            return self._reader.at_eof() or self._writer.is_closing()
        return self._writer.get_extra_info(_NAMES.get(info, info))


class Transport(httpx.HTTPTransport):
    """Opens the connections of a `Client` over `plait.sockets`.

    Args:
        verify: A context, or whether to verify certificates.
        http1: Whether HTTP/1.1 may be spoken.
        http2: Likewise HTTP/2, which needs `httpx[http2]`.
        limits: Of the pool.
        retries: How often connecting is tried again.
        proxy: URL of a proxy.
        backend: What to run on, as for `plait.socket`.
        stack: What the rung `stack` means; that of `plait.use_stack` by default.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = _DEFAULT_LIMITS,
        retries: int = 0,
        proxy: str | None = None,
        backend: Backend = "auto",
        stack: Stack | None = None,
    ) -> None:
        super().__init__(
            verify=verify, http1=http1, http2=http2, limits=limits, retries=retries, proxy=proxy
        )
        self._pool._network_backend = BlockingBackend(backend=backend, stack=stack)  # noqa: SLF001  likewise


class BlockingBackend(httpcore.NetworkBackend):
    """The `network_backend` of an `httpcore.ConnectionPool`.

    Args:
        backend: What to run on, as for `plait.socket`.
        stack: What the rung `stack` means.
    """

    def __init__(self, *, backend: Backend = "auto", stack: Stack | None = None) -> None:
        self._backend: Backend = backend
        self._stack = stack

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect."""
        source = None if local_address is None else (local_address, 0)
        with _connecting():
            opened = create_connection(
                (host, port), timeout, source, backend=self._backend, stack=self._stack
            )
            for option in socket_options or ():
                opened.setsockopt(*option)
        return BlockingStream(opened)


class BlockingStream(httpcore.NetworkStream):
    """One connection, as httpcore wants it.

    Args:
        sock: Taken over.
    """

    def __init__(self, sock: Socket) -> None:
        self._kept = sock.dup()  # TLS takes the descriptor
        self._socket: socket.socket = sock
        self._told: dict[str, Any] = {
            "plait": self._kept.connection,
            "client_addr": sock.getsockname(),
            "server_addr": sock.getpeername(),
        }

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived, nothing at the end."""
        with _mapping(httpcore.ReadTimeout, httpcore.ReadError):
            self._socket.settimeout(timeout)
            return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        with _mapping(httpcore.WriteTimeout, httpcore.WriteError):
            self._socket.settimeout(timeout)
            self._socket.sendall(buffer)

    def close(self) -> None:
        """Close; what was written is still sent."""
        self._kept.close()
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Shake hands; the stream is TLS from here on."""
        if isinstance(self._socket, ssl.SSLSocket):
            raise NotSupportedError(
                "no TLS within TLS here: take a proxy of http://, or AsyncClient"
            )
        try:
            with _connecting():
                self._socket.settimeout(timeout)
                self._socket = ssl_context.wrap_socket(
                    self._socket, server_hostname=server_hostname
                )
        except BaseException:
            self.close()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return `plait`, `ssl_object`, `socket`, `client_addr` or `server_addr`, or None."""
        if info == "socket":
            return self._socket
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        if info == "is_readable":  # of an idle connection: whether it has ended
            return self._socket.fileno() < 0 or _readable(self._socket)
        return self._told.get(info)


def _readable(sock: socket.socket) -> bool:
    """Return whether reading would return at once."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


_NAMES: Final = {"client_addr": "sockname", "server_addr": "peername"}
"""What asyncio calls the extra information of httpcore."""


@contextmanager
def _mapping(timed_out: type[Exception], failed: type[Exception]) -> Iterator[None]:
    """Turn errors of the network into httpcore's."""
    try:
        yield
    except TimeoutError as error:
        raise timed_out(str(error)) from error
    except OSError as error:
        raise failed(str(error)) from error


def _connecting() -> Any:
    """Turn errors of connecting into httpcore's."""
    return _mapping(httpcore.ConnectTimeout, httpcore.ConnectError)
