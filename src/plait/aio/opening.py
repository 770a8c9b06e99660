"""Connections and servers for protocols, on whatever rung of the ladder can serve them."""

from __future__ import annotations

import asyncio
import errno
import ssl as tls
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypedDict, TypeVar

from plait.aio.eyeballs import ATTEMPT_DELAY, LocalAddrs
from plait.aio.kernel import Kernel
from plait.aio.kernel_server import KernelServer
from plait.aio.ladder import Backend, climb
from plait.aio.server import Server
from plait.aio.stack import Stack
from plait.aio.tls import Tls, client_context, transport_of
from plait.errors import UsageError
from plait.host.intents import intent_settings
from plait.host.settings import Settings

AnyServer: TypeAlias = Server | KernelServer

_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)


class ConnectOptions(TypedDict, total=False):
    """The options of `create_connection`."""

    backend: Backend
    stack: Stack | None
    ssl: tls.SSLContext | bool | None
    server_hostname: str | None
    ssl_handshake_timeout: float | None
    ssl_shutdown_timeout: float | None
    local_addr: LocalAddrs | None
    timeout: float | None
    happy_eyeballs_delay: float | None
    settings: Settings | None
    intent: str | None
    data: bytes


class ServeOptions(TypedDict, total=False):
    """The options of `create_server`."""

    backend: Backend
    stack: Stack | None
    ssl: tls.SSLContext | None
    ssl_handshake_timeout: float | None
    ssl_shutdown_timeout: float | None
    settings: Settings | None
    intent: str | None


async def create_connection(
    protocol_factory: Callable[[], _Protocol],
    host: str,
    port: int,
    *,
    backend: Backend = "auto",
    stack: Stack | None = None,
    ssl: tls.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    local_addr: LocalAddrs | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  it names the host in its error
    happy_eyeballs_delay: float | None = ATTEMPT_DELAY,
    settings: Settings | None = None,
    intent: str | None = None,
    data: bytes = b"",
) -> tuple[asyncio.Transport, _Protocol]:
    """Connect and return transport and protocol, as `loop.create_connection` does.

    Args:
        protocol_factory: Called once, when the connection is open.
        host: A name or a numeric address; the addresses of a name race (RFC 8305).
        port: The remote port.
        backend: What to run on: `auto`, `kernel`, `stack`, `tcp`, several of these in the order to
            try them, or a `Stack` or `Kernel`.  `auto` is `stack` if one is given, else what the
            environment variable PLAIT_BACKEND says, else `kernel`, `stack`, `tcp`.
        stack: What `stack` means here; that of `use_stack` by default.
        ssl: A context, or True for the default one; None for no TLS.
        server_hostname: Whose certificate is expected; `host` by default.
        ssl_handshake_timeout: Seconds; None for 60.
        ssl_shutdown_timeout: Seconds; None for 30.
        local_addr: A local address for the first subflow, or several, tried in turn.  Multipath TCP
            stays on; a stack of plait's uses none but these.
        timeout: Seconds for resolving, connecting and TLS together; None for no limit.
        happy_eyeballs_delay: Seconds until another address is tried beside the last one, 0.01 to
            2; None to try one after the other.
        settings: What the connection is to be like; the kernel takes those it has a socket option
            for.
        intent: Path manager, scheduler and congestion control that go together, in place of those
            of `settings`; the kernel chooses its own.
        data: Written before all else; with `Settings.fast_open` it may leave on the SYN.

    Raises:
        OSError: Of the kind asyncio raises: refused, reset, timed out, unreachable, not resolved.
        ssl.SSLError: The handshake failed.
        NotSupportedError: Nothing that `backend` names can even try.
        UsageError: The arguments are impossible.
    """
    _check_tls(ssl, server_hostname, data)

    async def connect(factory: Callable[[], Any]) -> tuple[asyncio.Transport, Any]:
        async def work(on: Stack | Kernel, reason: str | None) -> tuple[asyncio.Transport, Any]:
            return await on.create_connection(
                factory,
                host,
                port,
                local_addr=local_addr,
                settings=_settings(on, settings, intent),
                happy_eyeballs_delay=happy_eyeballs_delay,
                data=data,
                reason=reason,
            )

        return await climb(backend, stack, work)

    async with _within(timeout, host, port):
        if not ssl:
            return await connect(protocol_factory)
        chosen = Tls(
            context=client_context(ssl),
            server_hostname=server_hostname or host,
            handshake_timeout=ssl_handshake_timeout,
            shutdown_timeout=ssl_shutdown_timeout,
        )
        return await _connect_secured(chosen, protocol_factory, connect)


async def create_server(
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    host: str | None,
    port: int,
    *,
    backend: Backend = "auto",
    stack: Stack | None = None,
    ssl: tls.SSLContext | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    settings: Settings | None = None,
    intent: str | None = None,
) -> AnyServer:
    """Listen and return the server, as `loop.create_server` does.

    Multipath TCP and plain TCP are accepted on one port: `connection_of` tells which it is.

    Args:
        protocol_factory: Called for every connection.
        host: An address of ours, or None for all, to which peers can join subflows, too.
        port: 0 for any; `port` of the server tells.
        backend: As for `create_connection`.
        stack: As for `create_connection`.
        ssl: A context with a certificate; None for no TLS.
        ssl_handshake_timeout: Seconds; None for 60.
        ssl_shutdown_timeout: Seconds; None for 30.
        settings: What connections are to be like.
        intent: As for `create_connection`.

    Raises:
        NotSupportedError: Nothing that `backend` names can even try.
        UsageError: The address is not ours, or the port is taken.
    """
    chosen: Callable[[], asyncio.BaseProtocol] = protocol_factory
    if ssl is not None:
        secured = Tls(
            context=ssl,
            handshake_timeout=ssl_handshake_timeout,
            shutdown_timeout=ssl_shutdown_timeout,
        )
        chosen = secured.accept(protocol_factory)

    async def work(on: Stack | Kernel, reason: str | None) -> AnyServer:
        wanted = _settings(on, settings, intent)
        return await on.create_server(chosen, host, port, settings=wanted, reason=reason)

    return await climb(backend, stack, work)


async def _connect_secured(
    chosen: Tls,
    protocol_factory: Callable[[], _Protocol],
    connect: Callable[[Callable[[], Any]], Awaitable[tuple[asyncio.Transport, Any]]],
) -> tuple[asyncio.Transport, _Protocol]:
    """Connect, shake hands, and return the transport within TLS and the protocol."""
    shaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    made: list[_Protocol] = []

    def make() -> asyncio.BaseProtocol:
        made.append(protocol_factory())
        return chosen.wrap(made[0], shaken)

    transport, secured = await connect(make)
    try:
        await shaken
    except BaseException:
        transport.abort()
        raise
    return transport_of(secured), made[0]


def _settings(on: Stack | Kernel, settings: Settings | None, intent: str | None) -> Settings | None:
    """Return what to ask of a back end; the kernel chooses its policies itself."""
    if intent is None:
        return settings
    base = settings or (on.settings if isinstance(on, Stack) else Settings())
    wanted = intent_settings(intent, base)
    return wanted if isinstance(on, Stack) else settings


def _check_tls(ssl: tls.SSLContext | bool | None, server_hostname: str | None, data: bytes) -> None:
    """Raise UsageError for arguments that contradict each other."""
    if not ssl and server_hostname is not None:
        raise UsageError("server_hostname means something with ssl only")
    if ssl and data:
        raise UsageError("data would leave before the TLS handshake: write it afterwards")


@asynccontextmanager
async def _within(seconds: float | None, host: str, port: int) -> AsyncIterator[None]:
    """Bound what takes place in the block.  Raises TimeoutError."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        text = f"cannot connect to {host} port {port}: no answer within {seconds:g} s"
        raise TimeoutError(errno.ETIMEDOUT, text) from None
