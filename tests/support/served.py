"""An HTTP server two paths away, for clients of every kind, on every back end.

`kernel` and `tcp` are two network namespaces with two virtual cables between them, `stack` two
stacks with two links.  The server has a thread of its own, so that clients may block.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any, Final, TypeVar

import pytest
from aiohttp import web

from plait.aio.connection import Connection, connection_of
from plait.aio.kernel import Kernel
from plait.aio.stack import Stack
from plait.connectors.aiohttp import Site
from plait.drivers.base import Driver
from plait.drivers.memory import pair
from plait.linux.netns import Namespace, can_make_namespaces, veth_pair
from plait.linux.path_manager import SIGNAL
from plait.sockets import run_stack
from support.api_world import descriptors, server_context, until

T = TypeVar("T")

ROWS: Final = ("kernel", "stack", "tcp")

BODY: Final = random.Random(6897).randbytes(4 << 20)

GREETING: Final = "hello"

ENOUGH: Final = 1 << 16
"""Octets that tell a subflow with data from one with an HTTP header."""

SERVER: Final = "10.0.1.2"
"""Address of the server on the first path."""

PATHS: Final = (1, 2)


@dataclass
class Served:
    """What a client needs to know of the server."""

    row: str
    near: Namespace | None
    drivers: Sequence[Driver]
    ports: dict[str, int]
    """By scheme."""

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://{SERVER}:{self.ports[scheme]}/{path}"

    def inside(self, work: Callable[[], T]) -> T:
        """Return what `work` returns where the client is."""
        return work() if self.near is None else self.near.run(work)

    def run(self, client: Callable[[Any], Awaitable[T]]) -> T:
        """Return what a coroutine function returns that is given the back end."""

        async def bounded() -> T:
            async with asyncio.timeout(20):
                if self.row != "stack":
                    return await client(self.row)
                async with Stack(self.drivers) as stack:
                    return await client(stack)

        return self.inside(lambda: asyncio.run(bounded()))

    def block(self, client: Callable[[Any], T]) -> T:
        """Return what a function returns that is given the back end, and may block."""

        def work() -> T:
            if self.row != "stack":
                return client(self.row)
            with run_stack(Stack(self.drivers)) as stack:
                return client(stack)

        return self.inside(work)

    def check(self, connection: Connection) -> None:
        """Assert that the body came over two subflows; over one if it was plain TCP."""
        info = connection.info
        assert info.backend == self.row
        received = [subflow.tcp.bytes_received for subflow in info.subflows]
        if self.row == "tcp":
            assert not info.is_mptcp
            assert len(received) <= 1
        else:
            assert len([octets for octets in received if octets > ENOUGH]) >= 2, received


@contextmanager
def served(row: str) -> Iterator[Served]:
    """Run the server while the block lasts; skip where the machine cannot."""
    with ExitStack() as made:
        near: Namespace | None = None
        far: Namespace | None = None
        links = [
            pair([ip_address(f"10.0.{path}.1")], [ip_address(f"10.0.{path}.2")]) for path in PATHS
        ]
        if row != "stack":
            if not can_make_namespaces():
                pytest.skip("making network namespaces needs root")
            near, far = made.enter_context(Namespace()), made.enter_context(Namespace())
            _join(near, far)
        drivers = [there for _, there in links] if row == "stack" else []
        server = _Server(row, far, drivers)
        made.callback(server.stop)
        yield Served(row, near, [here for here, _ in links], server.ports)


def _join(near: Namespace, far: Namespace) -> None:
    """Lay two cables; the server advertises its second address, which the client then joins."""
    for path in PATHS:
        veth_pair(near, f"near{path}", far, f"far{path}")
        near.add_address(f"near{path}", ip_interface(f"10.0.{path}.1/24"))
        far.add_address(f"far{path}", ip_interface(f"10.0.{path}.2/24"))
    far.add_mptcp_endpoint(ip_address("10.0.2.2"), 1, SIGNAL)
    for end in (near, far):
        end.set_mptcp_limits(subflows=8, add_addr_accepted=8)
        end.set_sysctl("net.mptcp.close_timeout", 1)


class _Server:
    """The application, on a loop in a thread of its own."""

    def __init__(self, row: str, namespace: Namespace | None, drivers: Sequence[Driver]) -> None:
        self.ports: dict[str, int] = {}
        self._row = row
        self._drivers = drivers
        self._ready = threading.Event()
        self._stopping: Callable[[], object] = bool
        work = self._work if namespace is None else lambda: namespace.run(self._work)
        self._thread = threading.Thread(target=work)
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._stopping()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        self._stopping = lambda: loop.call_soon_threadsafe(stopped.set)
        application = web.Application()
        application.router.add_get("/body", _body)
        application.router.add_get("/hello", _hello)
        runner = web.AppRunner(application, shutdown_timeout=0.5)
        await runner.setup()
        backend: Any = (
            Stack(self._drivers) if self._row == "stack" else Kernel(mptcp=self._row == "kernel")
        )
        if isinstance(backend, Stack):
            await backend.__aenter__()
        sites = {
            "http": Site(runner, backend=backend),
            "https": Site(runner, backend=backend, ssl_context=server_context()),
        }
        for scheme, site in sites.items():
            await site.start()
            self.ports[scheme] = site.port
        self._ready.set()
        await stopped.wait()
        await runner.cleanup()
        for site in sites.values():
            assert site._server is not None
            await asyncio.wait_for(site._server.wait_closed(), 10)
        await backend.close(0.2)


async def _hello(request: web.Request) -> web.Response:
    """Answer once there are as many subflows as paths, so that what follows can use them."""
    assert request.transport is not None
    connection = connection_of(request.transport)
    await until(lambda: not connection.multipath or len(connection.paths) >= len(PATHS))
    return web.Response(text=GREETING)


async def _body(_request: web.Request) -> web.Response:
    return web.Response(body=BODY)


def leaks_nothing(work: Callable[[], object]) -> None:
    """Do something again and again; both ends then have no more descriptors than after once."""
    work()
    before = descriptors()
    for _ in range(4):
        work()
    deadline = time.monotonic() + 5
    while descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert descriptors() <= before


def request(path: str, *, last: bool = False) -> bytes:
    """Return a request for clients that know no HTTP."""
    closing = "Connection: close\r\n" if last else ""
    return f"GET /{path} HTTP/1.1\r\nHost: {SERVER}\r\n{closing}\r\n".encode()


def content(response: bytes | bytearray) -> bytes:
    """Return the body of a response."""
    return bytes(response).partition(b"\r\n\r\n")[2]
