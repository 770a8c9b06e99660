"""Connections that programs accept, which came to a stack instead of their kernel.

A program's listener listens as it asked, and the stack listens on the same port.  What comes there
is relayed to the program's listener over loopback, and accepted in the program's stead so that it
hears who the peer is.  That a program closed its listener is noticed when the next one comes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Final

from plait.aio.server import Server
from plait.aio.stack import Stack
from plait.errors import PlaitError
from plait.linux.rendezvous import meeting_host
from plait.linux.seccomp import Listener
from plait.linux.sockaddr import Destination, destination_of, pack_sockaddr
from plait.linux.steering import Answer, Answering, Call, Proceed, Result
from plait.proxy.names import Names, inode_of, write_name
from plait.proxy.relay import RelayEnd, Relays, reset

MAX_LISTENERS: Final = 256
"""Sockets remembered that listen on one port, those that were closed among them."""

_LOOK_SECONDS: Final = 0.5
"""How often is looked whether threads that wait for a connection are still there."""


class Arrival:
    """A connection on its way from the stack to `accept`, and then until it ends.

    Attributes:
        key: The name of our socket, which is what the program's has as its peer.
        inode: That of the socket that the program got.
    """

    def __init__(self) -> None:
        self.key: Destination | None = None
        self.local: Destination | None = None
        self.remote: Destination | None = None
        self.inode: int | None = None


class Service:
    """A port that a program and the stack listen on.

    Attributes:
        name: Where relays reach the program's listener.
        server: The stack's side.
        inodes: The program's listeners, oldest first; several may share a port.
        arrivals: Connections by `Arrival.key`.
        returned: Accepted for threads that were killed before they got them.
        waiting: Calls of `accept` that wait, each with a duplicate of its listener.
    """

    def __init__(self, name: tuple[str, int]) -> None:
        self.name = name
        self.server: Server | None = None
        self.inodes: deque[int] = deque()
        self.arrivals: dict[Destination, Arrival] = {}
        self.returned: deque[socket.socket] = deque()
        self.waiting: dict[int, tuple[Call, socket.socket]] = {}


@dataclass(frozen=True, slots=True)
class Accepted(Answer):
    """A connection is the result of `accept`."""

    sock: socket.socket
    name: bytes
    """The peer as the program is to see it."""

    flags: int
    give_back: Callable[[socket.socket], None]

    def send(self, listener: Listener, call: Call) -> None:
        """Answer the call.  Raises OSError."""
        write_name(call, self.name)
        os.set_blocking(self.sock.fileno(), not self.flags & socket.SOCK_NONBLOCK)
        close_on_exec = bool(self.flags & socket.SOCK_CLOEXEC)
        listener.hand_over(call.id, self.sock.fileno(), close_on_exec=close_on_exec)
        self.sock.close()

    def release(self) -> None:
        """Keep for another thread what this one did not take."""
        if self.sock.fileno() >= 0:
            self.give_back(self.sock)


class Incoming:
    """Answers `listen` and `accept`; everything but `serves` runs on the loop of the stack.

    Args: as for `Outgoing`.
    """

    def __init__(self, stack: Stack, relays: Relays, names: Names, answering: Answering) -> None:
        self._stack = stack
        self._relays = relays
        self._names = names
        self._answering = answering
        self._services: dict[int, Service] = {}
        self._ports: dict[Destination, Service] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking = False

    def serves(self, inode: int) -> bool:
        """Return whether a socket is a listener that the stack listens for."""
        return inode in self._services

    # ---- listen

    async def listen(self, call: Call, sock: socket.socket) -> None:
        """Have the stack listen as well.

        Args:
            sock: A duplicate of the program's socket, which is closed.
        """
        with sock:
            bound = self._names.bound(inode_of(sock))
            here = bound or destination_of(sock.getsockname())
            answer: Answer = Proceed(got="TCP", why="its address is not the stack's", to=here)
            if bound is not None or here[0].is_unspecified:
                answer = await self._listen(sock, here, call.backlog)
            self._answering.answer(call, answer)

    async def _listen(self, sock: socket.socket, here: Destination, backlog: int) -> Answer:
        """Listen on both sides and return the answer."""
        try:
            if not here[1]:
                sock.listen(backlog)  # which binds it to some port
                here = here[0], sock.getsockname()[1]
            service = self._ports.get(here)
            if service is None:
                service = Service((meeting_host(sock), here[1]))
                await self._open(service, here)
            sock.listen(backlog)
        except OSError as error:
            return Result(error=error.errno or errno.EINVAL)
        except PlaitError as error:
            return Proceed(got="TCP", why=str(error), to=here)
        inode = inode_of(sock)
        self._services[inode] = service
        service.inodes.append(inode)
        if len(service.inodes) > MAX_LISTENERS:
            del self._services[service.inodes.popleft()]
        return Result(got="MPTCP", why="plait's stack listens", to=here)

    async def _open(self, service: Service, here: Destination) -> None:
        """Begin to listen on the stack.  Raises UsageError."""
        address, port = here
        host = None if address.is_unspecified else str(address)
        service.server = await self._stack.create_server(
            lambda: self._on_arrival(service), host, port
        )
        self._ports[here] = service

    def _end(self, service: Service) -> None:
        """Nobody listens for what comes to the stack."""
        assert service.server is not None
        service.server.close()
        for inode in service.inodes:
            self._services.pop(inode, None)
        self._ports = {here: one for here, one in self._ports.items() if one is not service}

    # ---- what comes

    def _on_arrival(self, service: Service) -> RelayEnd:
        """Return the protocol of a connection that came to the stack, and take it on."""
        arrival = Arrival()
        near, far = self._relays.open(partial(self._depart, service, arrival))
        self._spawn(self._deliver(service, arrival, near, far))
        return far

    async def _deliver(
        self, service: Service, arrival: Arrival, near: RelayEnd, far: RelayEnd
    ) -> None:
        """Connect to the program's listener."""
        loop = asyncio.get_running_loop()
        assert far.transport is not None
        arrival.local = destination_of(far.transport.get_extra_info("sockname"))
        arrival.remote = destination_of(far.transport.get_extra_info("peername"))
        ours = socket.socket(socket.AF_INET6 if ":" in service.name[0] else socket.AF_INET)
        try:
            ours.settimeout(0)
            ours.bind((service.name[0], 0))
            arrival.key = destination_of(ours.getsockname())
            service.arrivals[arrival.key] = arrival
            await loop.sock_connect(ours, service.name)
            await loop.connect_accepted_socket(lambda: near, ours)
        except OSError:  # its program has closed the listener
            ours.close()
            self._relays.drop(near)
            self._depart(service, arrival)
            reset(far.transport)
            self._end(service)

    def _depart(self, service: Service, arrival: Arrival) -> None:
        """A connection has ended."""
        if arrival.key is not None:
            service.arrivals.pop(arrival.key, None)
        if arrival.inode is not None:
            self._names.end(arrival.inode)

    # ---- accept

    def accept(self, call: Call, sock: socket.socket) -> None:
        """Accept in the program's stead.

        Args:
            sock: A duplicate of its listener, which is closed.
        """
        service = self._services.get(inode_of(sock))
        if service is None:
            self._answering.answer(call, Proceed())
        elif self._try(service, call, sock):
            pass
        elif not os.get_blocking(sock.fileno()):
            self._answering.answer(call, Result(error=errno.EAGAIN))
        else:
            service.waiting[call.id] = call, sock
            loop = asyncio.get_running_loop()
            loop.add_reader(sock.fileno(), self._retry, service, call.id)
            self._look_after_waiting()
            return
        sock.close()

    def _retry(self, service: Service, call_id: int) -> None:
        """Something may be there for a call that waits."""
        call, sock = service.waiting[call_id]
        if self._try(service, call, sock):
            self._stop_waiting(service, call_id)

    def _try(self, service: Service, call: Call, sock: socket.socket) -> bool:
        """Answer a call if it can be answered now."""
        try:
            new = self._next(service, sock)
        except OSError as error:
            self._answering.answer(call, Result(error=error.errno or errno.ECONNABORTED))
            return True
        if new is None:
            return False
        peer = destination_of(new.getpeername())
        arrival = service.arrivals.get(peer)
        if arrival is not None:
            assert arrival.local is not None
            assert arrival.remote is not None
            arrival.inode = inode_of(new)
            self._names.connect(arrival.inode, arrival.local, arrival.remote)
            peer = arrival.remote
        flags = call.arguments[3] & 0xFFFFFFFF if call.name == "accept4" else 0
        name = pack_sockaddr(sock.family, peer)
        self._answering.answer(call, Accepted(new, name, flags, partial(self._give_back, service)))
        return True

    @staticmethod
    def _next(service: Service, sock: socket.socket) -> socket.socket | None:
        """Return a connection to hand out, None if there is none."""
        if service.returned:
            return service.returned.popleft()
        if not select.select([sock], (), (), 0)[0]:
            return None
        return sock.accept()[0]

    def _give_back(self, service: Service, sock: socket.socket) -> None:
        """Offer a connection to whoever waits, later to whoever asks."""
        service.returned.append(sock)
        loop = asyncio.get_running_loop()
        for call_id in service.waiting:
            loop.call_soon(self._retry_if_waiting, service, call_id)

    def _retry_if_waiting(self, service: Service, call_id: int) -> None:
        if call_id in service.waiting:
            self._retry(service, call_id)

    def _stop_waiting(self, service: Service, call_id: int) -> None:
        _, sock = service.waiting.pop(call_id)
        asyncio.get_running_loop().remove_reader(sock.fileno())
        sock.close()

    def _look_after_waiting(self) -> None:
        """Let go of listeners whose thread was killed or interrupted: they would stay open."""
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._looking = False
        for service in self._ports.values():
            for call_id, (call, _) in tuple(service.waiting.items()):
                if not self._answering.waits(call):
                    self._stop_waiting(service, call_id)
                    self._answering.answer(call, Result(error=errno.EINTR))
            if service.waiting:
                self._look_after_waiting()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
