"""A stack of plait's own on an asyncio loop: connections and servers over drivers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self, TypeVar, cast

from plait.addresses import IpAddress
from plait.aio.pump import Pump
from plait.aio.server import Server
from plait.aio.transport import StackTransport, loss_error
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
from plait.mptcp.info import ConnectionInfo
from plait.trace.counters import Counters

CLOSE_SECONDS: Final = 5.0
"""How long `close` waits for connections to end in order."""

_ENTROPY_OCTETS: Final = 32
_SETTLE_SECONDS: Final = 0.01

_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)


class _Opening:
    """A connection that `create_connection` waits for."""

    def __init__(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.factory = factory
        self.settings = settings
        self.opened: asyncio.Future[StackTransport] = loop.create_future()


class Stack:
    """A host of plait's own on the running asyncio loop.

    Args:
        drivers: The networks it is attached to; the stack closes them.
        settings: What connections are like unless they ask for something else.
        entropy: Seed of everything random, for runs that are to repeat; drawn from the
            operating system by default.
    """

    def __init__(
        self,
        drivers: Sequence[Driver],
        settings: Settings | None = None,
        entropy: bytes | None = None,
    ) -> None:
        self._drivers = tuple(drivers)
        self._host = Host(settings or Settings(), entropy or os.urandom(_ENTROPY_OCTETS))
        self._pump: Pump | None = None
        self._openings: dict[int, _Opening] = {}
        self._transports: dict[int, StackTransport] = {}
        self._servers: dict[int, Server] = {}
        self._empty = asyncio.Event()
        self._closed = False

    @property
    def counters(self) -> Counters:
        """The host's counters, which bear Linux's names."""
        return self._host.counters

    async def create_connection(
        self,
        protocol_factory: Callable[[], _Protocol],
        host: str,
        port: int,
        *,
        local: str | None = None,
        settings: Settings | None = None,
        data: bytes = b"",
    ) -> tuple[StackTransport, _Protocol]:
        """Connect and return transport and protocol, as an asyncio loop does.

        Args:
            protocol_factory: Called once, when the connection is open.
            host: A numeric address, or a name of which every address is tried in turn.
            port: The remote port.
            local: The local address of the first subflow; the host chooses by default.
            settings: In place of the stack's.
            data: Written before all else; with `Settings.fast_open` it may leave on the SYN.

        Raises:
            OSError: Of the kind asyncio raises: refused, reset, timed out, unreachable.
            UsageError: When the stack has no address to connect from.
        """
        self._start()
        chosen = settings or self._host.settings
        source = None if local is None else _numeric(local)
        failures: list[OSError] = []
        for remote in await self._resolve(host, port):
            pump = self._start()
            connection_id = self._host.connect(
                pump.now(), remote, port, local=source, settings=chosen, data=data
            )
            pump.owe()
            try:
                transport = await self._opened(pump, connection_id, protocol_factory, chosen)
            except OSError as error:
                failures.append(error)
                continue
            return transport, cast("_Protocol", transport.get_protocol())
        if len(failures) == 1:
            raise failures[0]
        raise OSError("; ".join(str(failure) for failure in failures))

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None,
        port: int,
        *,
        settings: Settings | None = None,
    ) -> Server:
        """Listen and return the server.

        Args:
            protocol_factory: Called for every connection.
            host: An address of the stack, or None for all of them.
            port: 0 lets the host choose; `Server.port` tells.
            settings: In place of the stack's.

        Raises:
            UsageError: When the port is in use.
        """
        pump = self._start()
        address = None if host is None else (await self._resolve(host, port))[0]
        chosen = settings or self._host.settings
        listener_id = self._host.listen(pump.now(), port, address=address, settings=chosen)
        pump.owe()
        server = Server(pump, listener_id, protocol_factory, chosen)
        self._servers[listener_id] = server
        return server

    def info(self, transport: asyncio.BaseTransport) -> ConnectionInfo:
        """Return what the connection of `transport` is like."""
        if not isinstance(transport, StackTransport):
            raise UsageError("the transport is not one of a stack")
        return transport.info()

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
            loop = asyncio.get_running_loop()
            self._pump = Pump(loop, self._host, self._drivers, self._on_events)
            self._pump.start()
        return self._pump

    async def _resolve(self, host: str, port: int) -> list[IpAddress]:
        """Return the addresses `host` stands for, those of no family we serve left out."""
        with suppress(ValueError):
            return [ip_address(host)]
        served = {address.version for driver in self._drivers for address in driver.addresses}
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ip_address(str(name[0]).partition("%")[0]) for *_, name in found]
        usable = [address for address in addresses if address.version in served]
        if not usable:
            raise UsageError(f"{host} has no address of a family that the stack has one of")
        return usable

    async def _opened(
        self,
        pump: Pump,
        connection_id: int,
        factory: Callable[[], asyncio.BaseProtocol],
        settings: Settings,
    ) -> StackTransport:
        """Return the transport once the connection is open; give it up when canceled."""
        opening = _Opening(factory, settings, asyncio.get_running_loop())
        self._openings[connection_id] = opening
        try:
            return await opening.opened
        except asyncio.CancelledError:
            if self._openings.pop(connection_id, None) is not None:
                self._host.abort(pump.now(), connection_id)
                pump.owe()
            elif opening.opened.done() and not opening.opened.cancelled():
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
            transport.on_happening(event)

    def _on_established(self, connection_id: int) -> None:
        opening = self._openings.pop(connection_id, None)
        if opening is None:
            return
        if opening.opened.cancelled():
            self._drop(connection_id)
            return
        try:
            transport = self._attach(connection_id, opening.factory(), opening.settings)
        except Exception as error:  # noqa: BLE001  the factory is the caller's
            self._drop(connection_id)
            opening.opened.set_exception(error)
        else:
            opening.opened.set_result(transport)

    def _on_accepted(self, connection_id: int, listener_id: int) -> None:
        server = self._servers.get(listener_id)
        if server is None or not server.is_serving():
            self._drop(connection_id)
            return
        try:
            protocol = server.protocol_factory()
            self._attach(connection_id, protocol, server.settings, server)
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
        settings: Settings,
        server: Server | None = None,
    ) -> StackTransport:
        """Join a new connection and its protocol."""
        assert self._pump is not None
        loop = asyncio.get_running_loop()
        on_done = partial(self._on_done, server)
        transport = StackTransport(loop, self._pump, connection_id, protocol, on_done, settings)
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


def _numeric(address: str) -> IpAddress:
    try:
        return ip_address(address)
    except ValueError:
        raise UsageError(f"local address {address!r} is not a numeric IP address") from None
