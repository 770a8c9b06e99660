"""Sockets of the kernel, as scripts call them."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
from contextlib import suppress
from typing import Final

from plait.addresses import IpAddress
from plait.linux import mptcp_info as mptcp
from plait.linux.sockopts import mptcp_info
from plait.linux.tcp_info import SIZE, unpack
from plait.script.sockets import Sockets

_CONGESTION: Final = b"cubic"
"""Systems differ in their default, scripts do not."""


class KernelSockets(Sockets):
    """Live sockets by their descriptors."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def close_all(self) -> None:
        """Close what the script left open."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()

    def _get(self, handle: int) -> socket.socket:
        sock = self._sockets.get(handle)
        if sock is None:
            raise OSError(errno.EBADF, "bad file descriptor")
        return sock

    def _add(self, sock: socket.socket) -> int:
        self._sockets[sock.fileno()] = sock
        return sock.fileno()

    def socket(self, family: int, kind: int, protocol: int) -> int:
        """Make one; Python sets its own flags, so NONBLOCK is applied after."""
        sock = socket.socket(family, kind & ~socket.SOCK_NONBLOCK, protocol)
        sock.setblocking(not kind & socket.SOCK_NONBLOCK)
        with suppress(OSError):  # the sysctl of the namespace may not be ours to set
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _CONGESTION)
        return self._add(sock)

    def bind(self, handle: int, address: IpAddress, port: int) -> None:
        """Give it a local address."""
        self._get(handle).bind((str(address), port))

    def listen(self, handle: int, backlog: int) -> None:
        """Accept connections from now on."""
        self._get(handle).listen(backlog)

    def accept(self, handle: int, flags: int) -> int:
        """Return the handle of a connection that is open."""
        sock, _ = self._get(handle).accept()
        sock.setblocking(not flags & socket.SOCK_NONBLOCK)
        return self._add(sock)

    def connect(self, handle: int, address: IpAddress, port: int) -> None:
        """Open a connection."""
        self._get(handle).connect((str(address), port))

    def read(self, handle: int, limit: int, flags: int) -> bytes:
        """Return what arrived."""
        return self._get(handle).recv(limit, flags)

    def write(self, handle: int, data: bytes, flags: int) -> int:
        """Send, and return how much was taken."""
        return self._get(handle).send(data, flags | socket.MSG_NOSIGNAL)

    def send_to(
        self, handle: int, data: bytes, flags: int, target: tuple[IpAddress, int] | None
    ) -> int:
        """Send to an address, which may open a connection (RFC 7413)."""
        if target is None:
            return self.write(handle, data, flags)
        where = (str(target[0]), target[1])
        return self._get(handle).sendto(data, flags | socket.MSG_NOSIGNAL, where)

    def close(self, handle: int) -> None:
        """Close it."""
        self._get(handle).close()
        del self._sockets[handle]

    def shutdown(self, handle: int, how: int) -> None:
        """Close one direction or both."""
        self._get(handle).shutdown(how)

    def blocking(self, handle: int) -> bool:
        """Return whether calls wait."""
        return self._get(handle).getblocking()

    def set_blocking(self, handle: int, blocking: bool) -> None:
        """Choose whether calls wait."""
        self._get(handle).setblocking(blocking)

    def poll(self, wanted: list[tuple[int, int]], timeout_ms: int) -> list[int]:
        """Return what is ready of each handle."""
        poller = select.poll()
        for handle, events in wanted:
            poller.register(handle, events)
        ready = dict(poller.poll(timeout_ms if timeout_ms >= 0 else None))
        return [ready.get(handle, 0) for handle, _ in wanted]

    def pending(self, handle: int, request: int) -> int:
        """Return the octets that an ioctl counts."""
        answer = fcntl.ioctl(self._get(handle).fileno(), request, bytes(4))
        return int.from_bytes(answer, "little")

    def get_option(self, handle: int, level: int, option: int, length: int) -> bytes:
        """Return a socket option."""
        return self._get(handle).getsockopt(level, option, length)

    def set_option(self, handle: int, level: int, option: int, value: bytes) -> None:
        """Set a socket option."""
        self._get(handle).setsockopt(level, option, value)

    def tcp_info(self, handle: int) -> dict[str, int]:
        """Return the fields of struct tcp_info and struct mptcp_info."""
        sock = self._get(handle)
        octets = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SIZE)
        found = {f"tcpi_{name}": value for name, value in unpack(octets).items()}
        info = mptcp_info(sock)
        if info is not None:
            found |= {f"mptcpi_{name}": value for name, value in mptcp.unpack(info).items()}
        return found
