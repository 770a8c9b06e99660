"""Unmodified programs over a stack: what `plait run --via stack` decides about their calls.

A program keeps its own TCP sockets; only what they are connected to changes.  `connect` ends at a
relay on loopback that a connection of the stack continues, `listen` listens on the stack as well,
and `accept`, `getpeername` and `getsockname` tell the real addresses.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Final

from plait.aio.stack import Stack
from plait.linux.destinations import Choice
from plait.linux.sockaddr import Destination, pack_sockaddr
from plait.linux.steering import LATER, Answer, Answering, Call, Proceed, Result, Steering
from plait.linux.swapping import in_use
from plait.linux.target import Target
from plait.proxy.incoming import Incoming
from plait.proxy.names import Names, inode_of, write_name
from plait.proxy.outgoing import Outgoing
from plait.proxy.relay import Relays
from plait.sockets.loop import loop_of, run_stack, wait

FLUSH_SECONDS: Final = 60.0
"""How long data that programs wrote before they ended may take to leave."""

_SO_BINDTODEVICE: Final = 25
_DEVICE_OCTETS: Final = 16
"""<asm-generic/socket.h>, and IFNAMSIZ of <linux/if.h>."""

_ABROAD: Final = "it is in another network namespace"


class StackSteering(Steering):
    """Has connections carried by a stack, which runs in a thread of the supervisor.

    Connections to loopback, to families that the stack has no address of, and those that the
    choice leaves out stay with the kernel.

    Args:
        make: Makes the stack, in the supervisor's process; what it gives to the argument is
            closed after it.
        choice: Which destinations the stack is for, None for all.
    """

    calls = (
        "accept",
        "accept4",
        "bind",
        "connect",
        "getpeername",
        "getsockname",
        "listen",
    )
    killable = False

    def __init__(self, make: Callable[[ExitStack], Stack], choice: Choice | None = None) -> None:
        self._make = make
        self._choice = choice
        self._kept = ExitStack()
        self._names = Names()
        self._relays = Relays()

    def start(self, answering: Answering) -> None:
        """Make the stack and run it."""
        self._stack = self._kept.enter_context(run_stack(self._make(self._kept)))
        self._loop = loop_of(self._stack)
        self._home = Target(os.getpid()).network_namespace()
        parts = self._stack, self._relays, self._names, answering
        self._outgoing = Outgoing(*parts)
        self._incoming = Incoming(*parts)

    def close(self) -> None:
        """Let what was written leave, then close the stack."""
        wait(self._loop, self._relays.drained(FLUSH_SECONDS))
        self._kept.close()

    def on_connect(self, call: Call) -> Answer:
        """Connect by the stack."""
        to = call.destination()
        if to is None or to[0].is_unspecified or to[0].is_loopback:
            return Proceed()
        sock = call.target.copy_socket(call.fd)
        reason = self._spared(call, sock, to)
        if reason is not None:
            sock.close()
            return Proceed(got="TCP", why=reason, to=to) if reason else Proceed()
        return self._later(self._outgoing.connect(call, sock, to))

    def _spared(self, call: Call, sock: socket.socket, to: Destination) -> str | None:
        """Return why the kernel connects a socket, "" if that is nobody's concern."""
        if not _is_tcp(sock) or in_use(sock):
            return ""
        if call.target.network_namespace() != self._home:
            return _ABROAD
        if self._choice is not None and not self._choice.covers(to):
            return "by its destination"
        if device := _device(sock):
            return f"it is bound to {device}"
        if not any(address.version == to[0].version for address in self._stack.addresses):
            return f"the stack has no IPv{to[0].version} address"
        return None

    def on_bind(self, call: Call) -> Answer:
        """Bind to loopback what asks for an address of the stack, which the kernel has not."""
        here = call.destination()
        if here is None or here[0] not in self._stack.addresses:
            return Proceed()
        with call.target.copy_socket(call.fd) as sock:
            if sock.type != socket.SOCK_STREAM or call.target.network_namespace() != self._home:
                return Proceed()
            try:
                sock.bind(("::1" if here[0].version == 6 else "127.0.0.1", here[1]))
            except OSError as error:
                return Result(error=error.errno or errno.EADDRINUSE)
            self._names.bind(inode_of(sock), (here[0], sock.getsockname()[1]))
        return Result()

    def on_listen(self, call: Call) -> Answer:
        """Listen on the stack as well, unless only some destinations are for it."""
        if self._choice is not None and self._choice.selects:
            return Proceed()
        sock = call.target.copy_socket(call.fd)
        if (
            not _is_tcp(sock)
            or self._incoming.serves(inode_of(sock))
            or _device(sock)
            or call.target.network_namespace() != self._home
        ):
            sock.close()
            return Proceed()
        return self._later(self._incoming.listen(call, sock))

    def on_accept(self, call: Call) -> Answer:
        """Tell the real peer."""
        if not self._incoming.serves(self._inode(call)):
            return Proceed()
        sock = call.target.copy_socket(call.fd)
        self._loop.call_soon_threadsafe(self._incoming.accept, call, sock)
        return LATER

    on_accept4 = on_accept

    def on_getpeername(self, call: Call) -> Answer:
        """Tell the real one, unless the kernel has none any more."""
        return self._tell(call, self._names.remote(self._inode(call)), socket.socket.getpeername)

    def on_getsockname(self, call: Call) -> Answer:
        """Tell the real one."""
        return self._tell(call, self._names.local(self._inode(call)), socket.socket.getsockname)

    @staticmethod
    def _tell(
        call: Call, name: Destination | None, ask: Callable[[socket.socket], object]
    ) -> Answer:
        """Answer with a name where the kernel, which `ask` asks, has one."""
        if name is None or not all(call.arguments[1:3]):
            return Proceed()  # the kernel's own, or its EFAULT
        with call.target.copy_socket(call.fd) as sock:
            try:
                ask(sock)
            except OSError:
                return Proceed()
            write_name(call, pack_sockaddr(sock.family, name))
        return Result()

    @staticmethod
    def _inode(call: Call) -> int:
        """Return what the socket of a call is known by.  Raises OSError."""
        return os.stat(f"/proc/{call.target.tid}/fd/{call.fd}").st_ino  # noqa: PTH116  quicker

    def _later(self, work: Coroutine[None, None, None]) -> Answer:
        asyncio.run_coroutine_threadsafe(work, self._loop)
        return LATER


def _is_tcp(sock: socket.socket) -> bool:
    return sock.type == socket.SOCK_STREAM and sock.proto == socket.IPPROTO_TCP


def _device(sock: socket.socket) -> str:
    """Return the interface that a socket is bound to, "" if none."""
    name = sock.getsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, _DEVICE_OCTETS)
    return name.rstrip(bytes(1)).decode("utf-8", "replace")
