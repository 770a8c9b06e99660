"""Sockets on whatever rung of the ladder can serve them."""

from __future__ import annotations

import socket as standard
from contextlib import suppress
from typing import Any, Final

from plait.aio.kernel import Kernel
from plait.aio.ladder import Backend, climb
from plait.aio.stack import Stack
from plait.errors import UsageError
from plait.linux.families import IPPROTO_MPTCP
from plait.linux.mptcp_sockets import make_socket
from plait.sockets.base import Socket
from plait.sockets.kernel import SystemSocket
from plait.sockets.loop import at_once
from plait.sockets.options import TCP_MULTIPATH_ENABLE
from plait.sockets.relay import pair
from plait.sockets.stack import StackSocket

_FAMILIES: Final = {standard.AF_INET, standard.AF_INET6}
_PROTOCOLS: Final = {0, standard.IPPROTO_TCP, IPPROTO_MPTCP}
_UNSET: Final = object()


def socket(
    family: int = standard.AF_INET,
    type: int = standard.SOCK_STREAM,  # noqa: A002  as the standard library has it
    proto: int = 0,
    *,
    backend: Backend = "auto",
    stack: Stack | None = None,
) -> Socket:
    """Return a stream socket that speaks Multipath TCP if it can.

    It is one of the standard library's, so everything that takes sockets takes it.  TCP_NODELAY is
    set.  As RFC 6897, 4.2.1, has it, binding it to one address or interface turns Multipath TCP
    off, unless TCP_MULTIPATH_ENABLE was set.

    Args:
        family: AF_INET or AF_INET6.
        type: SOCK_STREAM.
        proto: 0, or what name resolution says: TCP's number; `backend` decides.
        backend: What to run on, as for `plait.open_connection`.
        stack: What the rung `stack` means; that of `plait.use_stack` by default.  One that runs on
            no event loop yet runs in a thread of its own from now on.

    Raises:
        NotSupportedError: Nothing that `backend` names can even try.
        UsageError: The arguments are impossible.
    """
    if family not in _FAMILIES or type != standard.SOCK_STREAM or proto not in _PROTOCOLS:
        raise UsageError("Multipath TCP has stream sockets of AF_INET or AF_INET6")

    async def work(on: Stack | Kernel, reason: str | None) -> Socket:
        if isinstance(on, Kernel):
            return SystemSocket(make_socket(family, on.options), reason or on.options.why_tcp)
        application, pipe = pair()
        try:
            return StackSocket(application, pipe, family, on, reason)
        except BaseException:
            application.close()
            pipe.close()
            raise

    return at_once(climb(backend, stack, work))


def create_connection(
    address: tuple[str, int],
    timeout: Any = _UNSET,
    source_address: tuple[str, int] | None = None,
    *,
    all_errors: bool = False,
    backend: Backend = "auto",
    stack: Stack | None = None,
) -> Socket:
    """Connect to the first address of a name that answers, and return the socket.

    Multipath TCP stays on with a `source_address`, too; a stack uses none but that one then.

    Args:
        address: Host and port.
        timeout: Seconds for each address; None to wait, by default that of the `socket` module.
        source_address: Where from.
        all_errors: Raise an ExceptionGroup of all errors, not the last one.
        backend: As for `socket`.
        stack: As for `socket`.
    """
    errors: list[OSError] = []
    host, port = address
    for family, kind, _, _, name in standard.getaddrinfo(host, port, 0, standard.SOCK_STREAM):
        sock = socket(family, kind, backend=backend, stack=stack)
        try:
            if timeout is None or isinstance(timeout, int | float):  # others mean the default
                sock.settimeout(timeout)
            if source_address is not None:
                _keep_multipath(sock)
                sock.bind(source_address)
            sock.connect(name)
        except OSError as error:
            errors.append(error)
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    try:
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        raise errors[-1] if errors else OSError("getaddrinfo returns an empty list")
    finally:
        errors.clear()  # they refer to this frame


def create_server(
    address: tuple[str, int],
    *,
    family: int = standard.AF_INET,
    backlog: int | None = None,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
    backend: Backend = "auto",
    stack: Stack | None = None,
) -> Socket:
    """Return a listening socket, for Multipath TCP and plain TCP, whatever address it has.

    Args:
        address: Host, empty for all addresses, and port, 0 for any.
        family: AF_INET or AF_INET6.
        backlog: Connections that may wait to be accepted; None for 128.
        reuse_port: Share the port with other sockets, where the kernel can.
        dualstack_ipv6: Accept IPv4 with AF_INET6, too.
        backend: As for `socket`.
        stack: As for `socket`.
    """
    sock = socket(family, backend=backend, stack=stack)
    try:
        sock.setsockopt(standard.SOL_SOCKET, standard.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(standard.SOL_SOCKET, standard.SO_REUSEPORT, 1)
        if family == standard.AF_INET6:
            sock.setsockopt(standard.IPPROTO_IPV6, standard.IPV6_V6ONLY, int(not dualstack_ipv6))
        _keep_multipath(sock)
        sock.bind(address)
        sock.listen(128 if backlog is None else backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_multipath(sock: Socket) -> None:
    """Have binding leave Multipath TCP on, if the socket has it."""
    with suppress(OSError):  # plain TCP
        sock.setsockopt(standard.IPPROTO_TCP, TCP_MULTIPATH_ENABLE, 1)
