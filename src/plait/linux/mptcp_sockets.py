"""Sockets of the kernel's Multipath TCP, for blocking code and for asyncio.

asyncio resolves even numeric addresses through getaddrinfo, which knows no protocol 262, and sets
TCP_NODELAY on protocol 6 alone.  So connecting is done here, to addresses that were resolved as for
TCP, and every socket gets TCP_NODELAY.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import Any, Final, TypeAlias

from plait.errors import NotSupportedError, UsageError
from plait.linux.families import IPPROTO_MPTCP
from plait.linux.socket_options import SocketOptions

SocketAddress: TypeAlias = tuple[Any, ...]
"""Host and port, for IPv6 also flow label and scope."""

_BACKLOG: Final = 128
_NO_MPTCP: Final = {errno.ENOPROTOOPT, errno.EPROTONOSUPPORT, errno.EINVAL}


def make_socket(family: int, options: SocketOptions) -> socket.socket:
    """Return a stream socket, Multipath TCP unless `options.why_tcp` says why not.

    Raises NotSupportedError if the kernel has no Multipath TCP or no such congestion control.
    """
    protocol = IPPROTO_MPTCP if options.why_tcp is None else socket.IPPROTO_TCP
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    except OSError as error:
        if protocol == IPPROTO_MPTCP and error.errno in _NO_MPTCP:
            raise NotSupportedError(_explain(error)) from None
        raise
    try:
        set_nodelay(sock, nodelay=options.nodelay)
        for wish in options.wishes:
            sock.setsockopt(*wish)
        if options.congestion is not None:
            check_congestion(family, options.congestion)
            name = options.congestion.encode()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
    except BaseException:
        sock.close()
        raise
    return sock


def kernel_has_mptcp() -> bool:
    """Return whether a Multipath TCP socket can be made in this network namespace."""
    try:
        make_socket(socket.AF_INET, SocketOptions()).close()
    except NotSupportedError:
        return False
    return True


def set_nodelay(sock: socket.socket, *, nodelay: bool = True) -> None:
    """Send small writes at once, or not."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(nodelay))


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
        if options.fast_open_pending:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, options.fast_open_pending)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise UsageError(_explain_bind(error, host, port)) from None
    return sock


async def connect(
    family: int,
    address: SocketAddress,
    options: SocketOptions,
    *,
    local: SocketAddress | None = None,
    data: bytes = b"",
) -> tuple[socket.socket, bytes]:
    """Return a connected non-blocking socket; it is closed if the attempt is canceled.

    With it comes what of `data` is yet to be sent: all but what left on the SYN.

    Args:
        local: Address and port to connect from.
        data: Sent on the SYN with `options.fast_open`, once a cookie is known.

    Raises:
        OSError: The address did not answer.
        UsageError: `local` is not of this machine, or its port is in use.
    """
    sock = make_socket(family, options)
    try:
        sock.settimeout(0)  # non-blocking
        if local is not None:
            _bind_local(sock, local)
        sent = await _connect(sock, address, data if options.fast_open else b"")
    except BaseException:
        sock.close()
        raise
    return sock, data[sent:]


async def _connect(sock: socket.socket, address: SocketAddress, data: bytes) -> int:
    """Connect a non-blocking socket; return the octets sent on the SYN.  Raises OSError."""
    number, sent = sock.connect_ex(address) if not data else 0, 0
    if data:
        try:
            sent = sock.sendto(data, socket.MSG_FASTOPEN, address)
            number = errno.EINPROGRESS
        except BlockingIOError as error:  # no cookie: this SYN asks for one
            number = error.errno or 0
    if number == errno.EINPROGRESS:
        await _writable(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))
    return sent


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


def _bind_local(sock: socket.socket, local: SocketAddress) -> None:
    """Choose the address to connect from.  Raises UsageError if it is not ours to have."""
    try:
        sock.bind(local)
    except OSError as error:
        raise UsageError(_explain_bind(error, local[0], local[1])) from None


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


def check_congestion(family: int, name: str) -> None:
    """Raise NotSupportedError if the kernel has no congestion control of this name.

    A Multipath TCP socket takes any name and fails much later; a TCP one knows at once.
    """
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    except OSError:
        raise NotSupportedError(
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
    return f"cannot bind {where}: {error.strerror}"
