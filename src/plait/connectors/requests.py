"""requests: an adapter for its sessions, over urllib3's connections and pools."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from plait.aio.connection import Connection
from plait.aio.ladder import Backend
from plait.aio.stack import Stack
from plait.errors import UsageError
from plait.sockets import Socket, create_connection

if TYPE_CHECKING:
    from requests import Response

_NODELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
"""What urllib3 sets by default; plait's sockets have it."""


class Adapter(HTTPAdapter):
    """Opens the connections of a `Session` over `plait.sockets`.

    Give it to `session.mount`, for `http://` as well as `https://`.

    Args:
        backend: What to run on, as for `plait.socket`.
        stack: What the rung `stack` means; that of `plait.use_stack` by default.
        pool_connections: Hosts to keep pools for.
        pool_maxsize: Connections that each pool keeps.
        max_retries: How often connecting is tried again.
    """

    def __init__(
        self,
        *,
        backend: Backend = "auto",
        stack: Stack | None = None,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int = 0,
    ) -> None:
        self._pools = _pools(backend, stack)
        super().__init__(pool_connections, pool_maxsize, max_retries)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Have the pools open our connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Have those of a proxy do so, too."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def connection_of(response: Response) -> Connection:
    """Return the connection of a response that was asked for with `stream=True`.

    Raises UsageError once the body has been read, or if an adapter of plait's did not open it.
    """
    found = getattr(response.raw, "connection", None)
    if not isinstance(found, _Opener) or found.kept is None:
        raise UsageError(
            "the response has no connection of plait's: ask before its body is read (stream=True)"
        )
    return found.kept.connection


class _Opener(HTTPConnection):
    """Opens sockets of plait's.

    Attributes:
        kept: A second descriptor of the socket, for `connection`: TLS takes the first one.
    """

    backend: Backend = "auto"
    stack: Stack | None = None

    kept: Socket | None = None

    def _new_conn(self) -> socket.socket:
        """Connect.  Raises what urllib3 raises."""
        try:
            opened = create_connection(
                (self._dns_host, self.port),
                self.timeout,
                self.source_address,
                backend=self.backend,
                stack=self.stack,
            )
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            text = f"connecting to {self.host} timed out after {self.timeout} s"
            raise ConnectTimeoutError(self, text) from error
        except OSError as error:
            raise NewConnectionError(self, f"cannot connect to {self.host}: {error}") from error
        for option in self.socket_options or ():
            if option != _NODELAY:
                opened.setsockopt(*option)
        self.kept = opened.dup()
        return opened

    def close(self) -> None:
        """Close both descriptors."""
        super().close()
        if self.kept is not None:
            self.kept.close()
            self.kept = None


class _SecureOpener(_Opener, HTTPSConnection):
    """Likewise, for TLS."""


def _pools(of_backend: Backend, of_stack: Stack | None) -> dict[str, type[HTTPConnectionPool]]:
    """Return the classes of pools whose connections run on a back end, by scheme."""

    class Plain(_Opener):
        backend = of_backend
        stack = of_stack

    class Secure(_SecureOpener):
        backend = of_backend
        stack = of_stack

    class Pool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": Pool, "https": SecurePool}
