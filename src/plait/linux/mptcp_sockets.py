"""Sockets of the kernel's Multipath TCP, for blocking code and for asyncio.

asyncio resolves even numeric addresses through getaddrinfo, which knows no protocol 262, and sets
TCP_NODELAY on protocol 6 alone.  So names are resolved here as for TCP, connecting is done here,
and every socket gets TCP_NODELAY.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from plait.errors import UsageError

IPPROTO_MPTCP: Final = 262

SocketAddress: TypeAlias = tuple[Any, ...]
"""Host and port, for IPv6 also flow label and scope."""

_BACKLOG: Final = 128
_NO_MPTCP: Final = {errno.ENOPROTOOPT, errno.EPROTONOSUPPORT, errno.EINVAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """What a new socket is to be."""

    mptcp: bool = True
    congestion: str | None = None
    """A congestion control of the kernel; None leaves the choice to its sysctl."""


def make_socket(family: int, options: SocketOptions) -> socket.socket:
    """Return a stream socket with TCP_NODELAY, Multipath TCP unless `options` says otherwise.

    Raises UsageError if the kernel has no Multipath TCP or no such congestion control.
    """
    protocol = IPPROTO_MPTCP if options.mptcp else socket.IPPROTO_TCP
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    except OSError as error:
        if options.mptcp and error.errno in _NO_MPTCP:
            raise UsageError(_explain(error)) from None
        raise
    try:
        set_nodelay(sock)
        if options.congestion is not None:
            _set_congestion(sock, options.congestion)
    except BaseException:
        sock.close()
        raise
    return sock


def kernel_has_mptcp() -> bool:
    """Return whether a Multipath TCP socket can be made in this network namespace."""
    try:
        make_socket(socket.AF_INET, SocketOptions()).close()
    except UsageError:
        return False
    return True


def set_nodelay(sock: socket.socket) -> None:
    """Send small writes at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def listen(host: str | None, port: int, options: SocketOptions) -> socket.socket:
    """Return a listening socket, on every address of both families if `host` is None.

    Joins are only accepted on addresses the socket is bound to, so the wildcard is the address
    to prefer.  Raises UsageError if the address is not ours or the port is taken.
    """
    family, address = _listening_address(host, port)
    sock = make_socket(family, options)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host is not None))
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise UsageError(_explain_bind(error, host, port)) from None
    return sock


async def connect(
    host: str, port: int, options: SocketOptions, *, local: str | None = None
) -> socket.socket:
    """Return a connected non-blocking socket, trying each address of `host` in turn.

    Args:
        local: Address to connect from.

    Raises:
        OSError: No address answered; the error is the last one's.
        UsageError: `host` has no address, or `local` is not one of this machine.
    """
    failure: OSError | None = None
    for family, address in await resolve(host, port):
        sock = make_socket(family, options)
        try:
            sock.settimeout(0)  # non-blocking
            _bind_local(sock, local)
            await _connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    assert failure is not None
    raise failure


async def resolve(host: str, port: int) -> list[tuple[int, SocketAddress]]:
    """Return the families and addresses of `host`.  Raises UsageError if it has none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UsageError(f"cannot resolve {host}: {error.strerror}") from None
    return [(family, address) for family, _, _, _, address in found]


async def _connect(sock: socket.socket, address: SocketAddress) -> None:
    """Connect a non-blocking socket.  Raises OSError."""
    number = sock.connect_ex(address)
    if number == errno.EINPROGRESS:
        await _writable(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


async def _writable(sock: socket.socket) -> None:
    """Wait until the connection attempt has an outcome."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(sock.fileno(), _set_done, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock.fileno())


def _set_done(ready: asyncio.Future[None]) -> None:
    """Complete the future unless its waiter has left."""
    if not ready.done():
        ready.set_result(None)


def _bind_local(sock: socket.socket, local: str | None) -> None:
    """Choose the address to connect from.  Raises UsageError if it is not ours."""
    if local is None:
        return
    try:
        sock.bind((local, 0))
    except OSError as error:
        raise UsageError(f"cannot connect from {local}: {error.strerror}") from None


def _listening_address(host: str | None, port: int) -> tuple[int, SocketAddress]:
    """Return the family and address to bind."""
    if host is None:
        return (socket.AF_INET6, ("::", port)) if _has_ipv6() else (socket.AF_INET, ("", port))
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise UsageError(f"cannot resolve {host}: {error.strerror}") from None
    family, _, _, _, address = found[0]
    return family, address


def _has_ipv6() -> bool:
    """Return whether IPv6 sockets can be bound in this namespace."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::", 0))
        return True
    return False


def _set_congestion(sock: socket.socket, name: str) -> None:
    """Choose the congestion control.  Raises UsageError if the kernel has none of that name."""
    try:
        # A Multipath TCP socket takes any name and fails much later: a TCP one knows at once.
        with socket.socket(sock.family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    except OSError:
        raise UsageError(
            f"the kernel has no congestion control {name!r}: "
            "see sysctl net.ipv4.tcp_available_congestion_control"
        ) from None


def _explain(error: OSError) -> str:
    """Return what a refused Multipath TCP socket means and what to do."""
    if error.errno == errno.ENOPROTOOPT:
        return "Multipath TCP is switched off in this kernel: run `sysctl net.mptcp.enabled=1`"
    return "this kernel was built without Multipath TCP: use plait's own stack with --tun"


def _explain_bind(error: OSError, host: str | None, port: int) -> str:
    """Return why the address cannot be listened on and what to do."""
    where = f"port {port}" if host is None else f"{host} port {port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop its user or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this network namespace: see `ip addr`"
    if error.errno == errno.EACCES:
        return f"{where} needs privileges: choose one above 1023"
    return f"cannot listen on {where}: {error.strerror}"
