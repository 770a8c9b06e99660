"""Connections that programs make, carried by a stack instead of their kernel."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from plait.aio.stack import Stack
from plait.aio.transport import StackTransport
from plait.errors import PlaitError
from plait.linux.rendezvous import Rendezvous, join
from plait.linux.sockaddr import Destination, destination_of
from plait.linux.steering import Answer, Answering, Call, Proceed, Result
from plait.proxy.names import Names, inode_of
from plait.proxy.relay import RelayEnd, Relays, reset

_Meet: TypeAlias = Callable[[], socket.socket]
"""Connects the program's socket on loopback, and returns the other end of that."""


class Outgoing:
    """Answers `connect`; everything runs on the loop of the stack.

    Args:
        stack: What carries connections.
        relays: Where relays are kept.
        names: Where programs learn the real ends of their sockets.
        answering: Takes the answers.
    """

    def __init__(self, stack: Stack, relays: Relays, names: Names, answering: Answering) -> None:
        self._stack = stack
        self._relays = relays
        self._names = names
        self._answering = answering
        self._waiting: dict[int, list[Call]] = {}

    async def connect(self, call: Call, sock: socket.socket, to: Destination) -> None:
        """Connect as the program asked.

        Args:
            sock: A duplicate of its socket, which is closed.
        """
        with sock:
            if os.get_blocking(sock.fileno()):
                await self._block(call, sock, to)
            else:
                await self._begin(call, sock, to)

    async def _block(self, call: Call, sock: socket.socket, to: Destination) -> None:
        """Answer when the outcome is known."""
        inode = inode_of(sock)
        waiting = self._waiting.setdefault(inode, [])
        waiting.append(call)
        if len(waiting) > 1:  # a signal ended the call, and it was made again
            return
        answer: Answer = Proceed(got="TCP", why="plait failed", to=to)
        try:
            answer = await self._carry(sock, to, partial(join, sock))
        finally:
            for one in self._waiting.pop(inode):
                self._answering.answer(one, answer)

    async def _begin(self, call: Call, sock: socket.socket, to: Destination) -> None:
        """Answer that it is in progress, and let the program's socket see the outcome."""
        try:
            rendezvous = Rendezvous(sock)
        except OSError as error:
            self._answering.answer(call, Proceed(got="TCP", why=_unreachable(error), to=to))
            return
        with rendezvous:
            self._answering.answer(call, Result(error=errno.EINPROGRESS))
            outcome = await self._carry(sock, to, rendezvous.meet)
            if isinstance(outcome, Proceed):  # too late for that: it is refused
                outcome = Result(got="nothing", why=outcome.why, to=to)
            self._answering.tell(call, outcome)

    async def _carry(self, sock: socket.socket, to: Destination, meet: _Meet) -> Answer:
        """Open the real connection, then the program's; return what to answer, or to tell."""
        inode = inode_of(sock)
        near, far = self._relays.open(partial(self._names.end, inode))
        try:
            transport = await self._open(far, inode, to)
        except (OSError, PlaitError) as error:
            self._relays.drop(near)
            if isinstance(error, OSError):
                number = error.errno or errno.ECONNABORTED
                return Result(error=number, got="nothing", why=str(error.strerror), to=to)
            return Proceed(got="TCP", why=str(error), to=to)
        self._names.connect(
            inode,
            destination_of(transport.get_extra_info("sockname")),
            destination_of(transport.get_extra_info("peername")),
        )
        try:
            ours = meet()
        except OSError as error:
            self._relays.drop(near)
            self._names.forget(inode)
            reset(transport)
            return Proceed(got="TCP", why=_unreachable(error), to=to)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: near, ours)
        info = transport.connection.info
        got = "MPTCP" if info.is_mptcp else "TCP"
        return Result(got=got, why=info.fallback_reason or "plait's stack", to=to)

    async def _open(self, end: RelayEnd, inode: int, to: Destination) -> StackTransport:
        """Return the real connection, from the address that the program asked for."""
        bound = self._names.bound(inode)
        local = None if bound is None else (str(bound[0]), bound[1])
        transport, _ = await self._stack.create_connection(
            lambda: end, str(to[0]), to[1], local_addr=local
        )
        return transport


def _unreachable(error: OSError) -> str:
    return f"its socket does not reach the relay: {error.strerror or error}"
