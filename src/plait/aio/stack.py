"""A stack of plait's own on an asyncio loop: connections and servers over drivers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self, TypeVar, cast

from plait.addresses import IpAddress
from plait.aio import eyeballs
from plait.aio.eyeballs import (
    ATTEMPT_DELAY,
    FAMILIES,
    LocalAddrs,
    SocketAddress,
    Target,
    local_addresses,
)
from plait.aio.monitor import Monitor
from plait.aio.pump import Pump
from plait.aio.server import Server
from plait.aio.transport import StackTransport, loss_error
from plait.aio.workers import Handover, Worker
from plait.drivers.base import Driver
from plait.errors import UsageError
from plait.host.events import (
    Accepted,
    Closed,
    Established,
    Event,
    LossReason,
    Lost,
    Readable,
    Writable,
)
from plait.host.host import Host
from plait.host.settings import Settings
from plait.host.sharing import ALONE, Stray
from plait.mptcp.info import ConnectionInfo
from plait.trace.counters import Counters

CLOSE_SECONDS: Final = 5.0
"""How long `close` waits for connections to end in order."""

_ENTROPY_OCTETS: Final = 32
_SETTLE_SECONDS: Final = 0.01

_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)


class _Request:
    """What one `create_connection` asks for; attempts at several addresses share it.

    Attributes:
        factory: Makes the protocol.
        settings: What the connection is to be like.
        data: Written before all else.
        reason: Why it runs on this stack and not on what was preferred.
        met: An attempt has succeeded, and its protocol is made: no other may.
    """

    def __init__(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        settings: Settings,
        data: bytes,
        reason: str | None,
    ) -> None:
        self.factory = factory
        self.settings = settings
        self.data = data
        self.reason = reason
        self.met = False


class _Opening:
    """One attempt that waits for its outcome."""

    def __init__(self, request: _Request, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.opened: asyncio.Future[StackTransport] = loop.create_future()


class Stack:
    """A host of plait's own on the running asyncio loop.

    Args:
        drivers: The networks it is attached to; the stack closes them.
        settings: What connections are like unless they ask for something else.
        entropy: Seed of everything random, for runs that are to repeat; drawn from the
            operating system by default.
        monitor: Watch the interfaces of drivers, where the kernel lets us: when one goes down, so
            do its addresses, and they come back with it.
        worker: Its part, if other processes have stacks with the same addresses.
    """

    def __init__(
        self,
        drivers: Sequence[Driver],
        settings: Settings | None = None,
        entropy: bytes | None = None,
        *,
        monitor: bool = True,
        worker: Worker | None = None,
    ) -> None:
        self._drivers = tuple(drivers)
        share = ALONE if worker is None else worker.share
        self._host = Host(settings or Settings(), entropy or os.urandom(_ENTROPY_OCTETS), share)
        self._worker = worker
        self._handover: Handover | None = None
        self._pump: Pump | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._openings: dict[int, _Opening] = {}
        self._transports: dict[int, StackTransport] = {}
        self._servers: dict[int, Server] = {}
        self._empty = asyncio.Event()
        self._present = {address for driver in self._drivers for address in driver.addresses}
        self._closed = False
        self._monitored = monitor and any(driver.interface for driver in self._drivers)
        self._monitor: Monitor | None = None

    @property
    def counters(self) -> Counters:
        """The host's counters, which bear Linux's names."""
        return self._host.counters

    @property
    def settings(self) -> Settings:
        """What connections are like unless they ask for something else."""
        return self._host.settings

    @property
    def drivers(self) -> tuple[Driver, ...]:
        """The networks that it was given, in their order, those that failed included."""
        return self._drivers

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that the stack runs on; None before its first use."""
        return self._loop

    @property
    def addresses(self) -> tuple[IpAddress, ...]:
        """Its drivers' addresses that are there, in their order."""
        every = (address for driver in self._drivers for address in driver.addresses)
        return tuple(address for address in every if address in self._present)

    async def create_connection(
        self,
        protocol_factory: Callable[[], _Protocol],
        host: str,
        port: int,
        *,
        local_addr: LocalAddrs | None = None,
        settings: Settings | None = None,
        data: bytes = b"",
        happy_eyeballs_delay: float | None = ATTEMPT_DELAY,
        reason: str | None = None,
    ) -> tuple[StackTransport, _Protocol]:
        """Connect and return transport and protocol, as an asyncio loop does.

        Args:
            protocol_factory: Called once, when the connection is open.
            host: A numeric address, or a name whose addresses race (RFC 8305).
            port: The remote port.
            local_addr: Local addresses for the first subflow, tried in turn; no subflow uses any
                other unless `Settings.local_addresses` says so.  The host chooses by default.
            settings: In place of the stack's.
            data: Written before all else; with `Settings.fast_open` it may leave on the SYN.
            happy_eyeballs_delay: Connection Attempt Delay in seconds; None for one by one.
            reason: Why it runs on this and not on what was preferred, for `info.fallback_reason`.

        Raises:
            OSError: Of the kind asyncio raises: refused, reset, timed out, unreachable.
            UsageError: When the stack has no address to connect from.
        """
        self._start()
        local = local_addresses(local_addr)
        chosen = self._limited(settings or self._host.settings, local)
        request = _Request(protocol_factory, chosen, data, reason)
        transport = await eyeballs.connect(
            host,
            port,
            partial(self._attempt, request),
            StackTransport.abort,
            delay=happy_eyeballs_delay,
            local=local,
            families=self._families(),
        )
        return transport, cast("_Protocol", transport.get_protocol())

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None,
        port: int,
        *,
        settings: Settings | None = None,
        reason: str | None = None,
    ) -> Server:
        """Listen and return the server.

        Args:
            protocol_factory: Called for every connection.
            host: An address of the stack, or None or a wildcard for all of them.
            port: 0 lets the host choose; `Server.port` tells.
            settings: In place of the stack's.
            reason: As for `create_connection`.

        Raises:
            UsageError: When the port is in use, or the address is not ours.
        """
        pump = self._start()
        address = None if host is None else await self._listening_address(host, port)
        chosen = settings or self._host.settings
        listener_id = self._host.listen(pump.now(), port, address=address, settings=chosen)
        pump.owe()
        forget = partial(self._servers.pop, listener_id)
        server = Server(pump, listener_id, protocol_factory, forget, reason)
        self._servers[listener_id] = server
        return server

    def info(self, transport: asyncio.BaseTransport) -> ConnectionInfo:
        """Return what the connection of `transport` is like."""
        if not isinstance(transport, StackTransport):
            raise UsageError("the transport is not one of a stack")
        return transport.connection.info

    def on_local_address(self, address: IpAddress, *, present: bool) -> None:
        """An address of a driver went, or is there again; path managers act on that.

        All addresses of the drivers are there from the start.  Raises UsageError if no driver has
        this one.
        """
        pump = self._start()
        for driver in self._drivers:
            if address in driver.addresses:
                mtu = driver.capabilities.mtu
                pump.host.on_local_address(pump.now(), address, present=present, mtu=mtu)
                pump.owe()
                (self._present.add if present else self._present.discard)(address)
                return
        raise UsageError(f"{address} is no address of this stack")

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """End all connections in order, after `seconds` by force; then close the drivers."""
        if self._closed:
            return
        self._closed = True
        pump = self._pump
        try:
            if pump is not None:
                await self._close_connections(pump, seconds)
        finally:
            if pump is not None:
                pump.stop()
            for helper in (self._monitor, self._handover):
                if helper is not None:
                    helper.close()
            for driver in self._drivers:
                driver.close()

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _start(self) -> Pump:
        """Return the pump, which the first use starts on the running loop."""
        if self._closed:
            raise UsageError("the stack is closed: make another one")
        if self._pump is None:
            self._loop = loop = asyncio.get_running_loop()
            self._pump = Pump(loop, self._host, self._drivers, self._on_events)
            self._pump.start()
            if self._worker is not None:
                self._handover = Handover(loop, self._pump, self._worker.exchange)
            if self._monitored:
                with suppress(OSError):  # no netlink here: time-outs have to do
                    self._monitor = Monitor(self._drivers, self._on_link)
        return self._pump

    def _on_link(self, address: IpAddress, present: bool) -> None:
        if not self._closed:
            self.on_local_address(address, present=present)

    def _families(self) -> list[int]:
        """Return the families that the stack has addresses of, IPv6 first."""
        served = {address.version for driver in self._drivers for address in driver.addresses}
        return [
            family for family, version in zip(FAMILIES, (6, 4), strict=True) if version in served
        ]

    def _limited(self, settings: Settings, local: Sequence[tuple[IpAddress, int]]) -> Settings:
        """Return the settings of a connection that is bound to addresses (RFC 6897, 5.3.2)."""
        usable = [str(address) for address, _ in local if address in self._present]
        if not usable or settings.local_addresses:
            return settings
        return replace(settings, local_addresses=", ".join(usable))

    async def _listening_address(self, host: str, port: int) -> IpAddress | None:
        """Return the first address of `host` that is ours, None if it is a wildcard."""
        with suppress(ValueError):
            address = ip_address(host)
            return None if address.is_unspecified else address
        for family in self._families():
            with suppress(socket.gaierror):
                for name in await eyeballs.getaddrinfo(host, port, family):
                    if (address := _ip(name)) in self._present:
                        return address
        raise UsageError(f"{host} is not an address of this stack")

    async def _attempt(self, request: _Request, target: Target) -> StackTransport:
        """Return the transport once a connection is open; give it up when canceled."""
        pump = self._start()
        local, local_port = target.local or (None, 0)
        connection_id = self._host.connect(
            pump.now(),
            _ip(target.remote),
            target.remote[1],
            local=local,
            local_port=local_port,
            settings=request.settings,
            data=request.data,
        )
        pump.owe()
        opening = _Opening(request, asyncio.get_running_loop())
        self._openings[connection_id] = opening
        try:
            return await opening.opened
        except asyncio.CancelledError:
            if self._openings.pop(connection_id, None) is not None:
                self._host.abort(pump.now(), connection_id)
                pump.owe()
            elif opening.opened.done() and opening.opened.exception() is None:
                opening.opened.result().abort()
            raise

    async def _close_connections(self, pump: Pump, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        for server in tuple(self._servers.values()):
            server.close()
        for connection_id, opening in tuple(self._openings.items()):
            self._host.abort(pump.now(), connection_id)
            if not opening.opened.done():
                opening.opened.set_exception(loss_error(LossReason.ABORTED))
        self._openings.clear()
        for transport in tuple(self._transports.values()):
            transport.close()
        self._empty.clear()
        self._check_empty()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._empty.wait()
        for transport in tuple(self._transports.values()):
            transport.abort()
        pump.turn(pump.now())
        await asyncio.sleep(0)  # connection_lost of the aborted ones
        while loop.time() < deadline and pump.pending():  # noqa: ASYNC110  paths give no notice
            await asyncio.sleep(_SETTLE_SECONDS)

    def _on_events(self, events: list[Event]) -> None:
        for event in events:
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        match event:
            case Readable(connection_id):
                if connection_id in self._transports:
                    self._transports[connection_id].on_readable()
            case Writable(connection_id):
                if connection_id in self._transports:
                    self._transports[connection_id].on_writable()
            case Established(connection_id):
                self._on_established(connection_id)
            case Accepted(connection_id, listener_id):
                self._on_accepted(connection_id, listener_id)
            case Closed(connection_id, info):
                self._on_happening(event)
                self._on_ended(connection_id, info, None)
            case Lost(connection_id, reason, info):
                self._on_happening(event)
                self._on_ended(connection_id, info, loss_error(reason))
            case _:
                self._on_happening(event)

    def _on_happening(self, event: Event) -> None:
        transport = self._transports.get(event.connection_id)
        if transport is not None:
            transport.connection.on_happening(event)
        elif isinstance(event, Stray) and self._handover is not None:
            self._handover.send(event)

    def _on_established(self, connection_id: int) -> None:
        opening = self._openings.pop(connection_id, None)
        if opening is None:
            return
        request = opening.request
        if opening.opened.cancelled():
            self._drop(connection_id)
            return
        if request.met:
            self._drop(connection_id)
            opening.opened.set_exception(loss_error(LossReason.ABORTED))
            return
        request.met = True
        try:
            protocol = request.factory()
            transport = self._attach(connection_id, protocol, request.reason)
        except Exception as error:  # noqa: BLE001  the factory is the caller's
            self._drop(connection_id)
            opening.opened.set_exception(error)
        else:
            opening.opened.set_result(transport)

    def _on_accepted(self, connection_id: int, listener_id: int) -> None:
        server = self._servers.get(listener_id)
        if server is None:
            self._drop(connection_id)
            return
        try:
            protocol = server.protocol_factory()
            self._attach(connection_id, protocol, server.reason, server)
        except Exception as error:  # noqa: BLE001  the factory is the caller's
            self._drop(connection_id)
            asyncio.get_running_loop().call_exception_handler(
                {"message": "accepting a connection failed", "exception": error}
            )

    def _on_ended(self, connection_id: int, info: ConnectionInfo, error: OSError | None) -> None:
        opening = self._openings.pop(connection_id, None)
        if opening is not None and not opening.opened.done():
            opening.opened.set_exception(error or loss_error(LossReason.ABORTED))
        transport = self._transports.pop(connection_id, None)
        if transport is not None:
            transport.on_lost(info, error)
        self._check_empty()

    def _attach(
        self,
        connection_id: int,
        protocol: asyncio.BaseProtocol,
        reason: str | None,
        server: Server | None = None,
    ) -> StackTransport:
        """Join a new connection and its protocol."""
        assert self._pump is not None
        loop = asyncio.get_running_loop()
        on_done = partial(self._on_done, server)
        transport = StackTransport(loop, self._pump, connection_id, protocol, on_done, reason)
        self._transports[connection_id] = transport
        if server is not None:
            server.attach()
        protocol.connection_made(transport)
        return transport

    def _on_done(self, server: Server | None, transport: StackTransport) -> None:
        """Forget a transport that told its protocol the end, unless its host has work left."""
        if not transport.live:
            self._transports.pop(transport.connection_id, None)
            self._check_empty()
        if server is not None:
            server.detach()

    def _drop(self, connection_id: int) -> None:
        """Abort a connection that no protocol took."""
        assert self._pump is not None
        transport = self._transports.pop(connection_id, None)
        if transport is not None:
            transport.abort()
        else:
            self._host.abort(self._pump.now(), connection_id)
            self._pump.owe()

    def _check_empty(self) -> None:
        if not self._transports:
            self._empty.set()


def _ip(name: SocketAddress) -> IpAddress:
    """Return the address of a socket address; stacks know no scopes."""
    return ip_address(str(name[0]).partition("%")[0])
