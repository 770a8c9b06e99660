"""aiohttp: a connector for its clients, a site for its servers."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from typing import TYPE_CHECKING, Any, Final, Unpack
from weakref import WeakKeyDictionary

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientResponse,
    ClientTimeout,
    Fingerprint,
    TCPConnector,
    web,
)
from yarl import URL

from plait.aio.connection import Connection
from plait.aio.connection import connection_of as plait_connection_of
from plait.aio.ladder import Backend
from plait.aio.opening import create_connection, create_server
from plait.aio.stack import Stack
from plait.connectors.options import ReachOptions
from plait.errors import UsageError
from plait.host.settings import Settings

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest


class Connector(TCPConnector):
    """Opens the connections of a `ClientSession` with `plait.create_connection`.

    Proxies and fingerprints work as with aiohttp's own connector; names are
    resolved by the system, and their addresses race (RFC 8305).

    Args:
        limit: Most connections open at once; 0 for any number.
        limit_per_host: Likewise, to one host.
        keepalive_timeout: Seconds that an unused connection is kept.
        force_close: Keep none.
        ssl: A context, a fingerprint, or False to verify nothing.
        options: Those of `plait.create_connection` that are about the network.
    """

    def __init__(
        self,
        *,
        limit: int = 100,
        limit_per_host: int = 0,
        keepalive_timeout: float | None = 15.0,
        force_close: bool = False,
        ssl: tls.SSLContext | Fingerprint | bool = True,
        **options: Unpack[ReachOptions],
    ) -> None:
        super().__init__(
            limit=limit,
            limit_per_host=limit_per_host,
            keepalive_timeout=None if force_close else keepalive_timeout,
            force_close=force_close,
            ssl=ssl,
        )
        self._options = options

    async def _create_direct_connection(
        self,
        req: ClientRequest,
        traces: list[Any],
        timeout: ClientTimeout,  # noqa: ASYNC109  aiohttp's signature
        *,
        client_error: type[ClientConnectorError] = ClientConnectorError,  # type: ignore[override]  # what aiohttp passes
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Connect to the host of a request, or to a proxy, and shake hands."""
        context = self._get_ssl_context(req)
        host, port = req.url.raw_host, req.port
        assert host is not None  # aiohttp refuses such a URL before
        assert port is not None
        expected = (req.server_hostname or host).rstrip(".") if context else None
        try:
            async with asyncio.timeout(timeout.sock_connect):
                transport, protocol = await create_connection(
                    self._factory,
                    host,
                    port,
                    ssl=context,
                    server_hostname=expected,
                    **self._options,
                )
        except tls.CertificateError as error:
            raise ClientConnectorCertificateError(req.connection_key, error) from error
        except tls.SSLError as error:
            raise ClientConnectorSSLError(req.connection_key, error) from error
        except socket.gaierror as error:
            raise ClientConnectorDNSError(req.connection_key, error) from error
        except OSError as error:
            if error.errno is None and isinstance(error, TimeoutError):
                raise  # ours; aiohttp names the host
            raise client_error(req.connection_key, error) from error
        _OPENED[protocol] = plait_connection_of(transport)
        fingerprint = self._get_fingerprint(req)
        if req.is_ssl() and fingerprint is not None:
            _check(fingerprint, transport)
        return transport, protocol


class Site(web.BaseSite):
    """Serves an application over Multipath TCP and plain TCP, as `plait.create_server` does.

    `plait.connection_of(request.transport)` is the connection of a request.

    Args:
        runner: The runner of the application, set up.
        host: An address of ours, or None for all.
        port: 0 for any; `port` of the site tells.
        ssl_context: A context with a certificate; None for plain HTTP.
        backend: What to run on, as for `plait.create_server`.
        stack: What `stack` means here; that of `plait.use_stack` by default.
        settings: What connections are to be like.
        intent: Path manager, scheduler and congestion control that go together.
    """

    def __init__(
        self,
        runner: web.BaseRunner,
        host: str | None = None,
        port: int = 0,
        *,
        ssl_context: tls.SSLContext | None = None,
        backend: Backend = "auto",
        stack: Stack | None = None,
        settings: Settings | None = None,
        intent: str | None = None,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context)
        self._host = host
        self.port = port
        """The port listened on once the site has started."""

        self._backend = backend
        self._stack = stack
        self._settings = settings
        self._intent = intent

    @property
    def name(self) -> str:
        """The URL of the site."""
        scheme = "https" if self._ssl_context else "http"
        return str(URL.build(scheme=scheme, host=self._host or "0.0.0.0", port=self.port))  # noqa: S104  what aiohttp says

    async def start(self) -> None:
        """Listen.  Raises what `plait.create_server` raises."""
        await super().start()
        factory = self._runner.server
        assert factory is not None  # aiohttp refuses a runner that is not set up
        server = await create_server(
            factory,
            self._host,
            self.port,
            backend=self._backend,
            stack=self._stack,
            ssl=self._ssl_context,
            settings=self._settings,
            intent=self._intent,
        )
        self._server = server
        self.port = server.port


def connection_of(response: ClientResponse) -> Connection:
    """Return the connection that a response came by, which may have ended since.

    Raises UsageError if a connector of plait's did not open it.
    """
    # aiohttp takes back `response.connection` once the body has arrived.
    protocol: Any = response._protocol  # noqa: SLF001
    if protocol in _OPENED:
        return _OPENED[protocol]
    transport = getattr(protocol, "transport", None)  # TLS through a proxy has a protocol more
    if transport is None:
        raise UsageError("the response has no connection of plait's: give its session a Connector")
    return plait_connection_of(transport)


_OPENED: Final[WeakKeyDictionary[asyncio.BaseProtocol, Connection]] = WeakKeyDictionary()
"""What connectors have opened."""


def _check(fingerprint: Fingerprint, transport: asyncio.Transport) -> None:
    """Raise ServerFingerprintMismatch, and close, unless the certificate is the one expected."""
    try:
        fingerprint.check(transport)
    except BaseException:
        transport.abort()
        raise
