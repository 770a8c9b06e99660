"""TLS over any transport, by asyncio's own machinery.

`asyncio.sslproto.SSLProtocol` is what event loops put between a transport and a protocol; it knows
no sockets.  `loop.start_tls` does the same, but tells the protocol of its transport too late for
peers that speak first.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How one side is to speak TLS."""

    context: ssl.SSLContext
    server_hostname: str | None = None
    """Whose certificate the initiator expects, whatever addresses subflows use (RFC 6897, 6.1)."""

    handshake_timeout: float | None = None
    """Seconds; None for asyncio's 60."""

    shutdown_timeout: float | None = None
    """Seconds; None for asyncio's 30."""

    def wrap(
        self, protocol: asyncio.BaseProtocol, shaken: asyncio.Future[None], *, server: bool = False
    ) -> SSLProtocol:
        """Return what to connect in place of `protocol`.

        Args:
            shaken: Completed by the handshake, or failed.
            server: Whether this is the listener's side.
        """
        return SSLProtocol(
            asyncio.get_running_loop(),
            protocol,
            self.context,
            shaken,
            server,
            self.server_hostname,
            ssl_handshake_timeout=self.handshake_timeout,  # type: ignore[arg-type]  # takes float
            ssl_shutdown_timeout=self.shutdown_timeout,
        )

    def accept(self, factory: Callable[[], asyncio.BaseProtocol]) -> Callable[[], SSLProtocol]:
        """Return a factory for servers; failed handshakes end their connection and no more."""

        def make() -> SSLProtocol:
            shaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            shaken.add_done_callback(asyncio.Future.exception)  # nobody else asks
            return self.wrap(factory(), shaken, server=True)

        return make


def transport_of(secured: SSLProtocol) -> asyncio.Transport:
    """Return the transport that the protocol within was given."""
    return secured._get_app_transport()  # type: ignore[attr-defined, no-any-return]  # noqa: SLF001  event loops ask so, too


def client_context(wanted: ssl.SSLContext | bool) -> ssl.SSLContext:
    """Return the context, for True the default one."""
    return wanted if isinstance(wanted, ssl.SSLContext) else ssl.create_default_context()
