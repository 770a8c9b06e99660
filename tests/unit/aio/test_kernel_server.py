from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from unit.aio.kernel_pair import Peer, until

from plait.aio.kernel import Kernel
from plait.aio.kernel_connection import KernelConnection
from plait.errors import NotSupportedError
from plait.host.settings import Settings
from plait.linux.netns import Namespace, can_make_namespaces
from plait.units import SECOND

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    with Namespace() as namespace:

        def inside(work: Callable[[], Awaitable[None]]) -> None:
            async def bounded() -> None:
                async with asyncio.timeout(10):
                    await work()

            namespace.run(lambda: asyncio.run(bounded()))

        yield inside


def test_waiting_for_a_closed_server_waits_for_its_connections(run: Run) -> None:
    async def work() -> None:
        kernel = Kernel()
        server = await kernel.create_server(Peer, None, 0)
        assert server.is_serving()
        assert [sock.getsockname()[1] for sock in server.sockets] == [server.port]
        transport, here = await kernel.create_connection(Peer, "127.0.0.1", server.port)
        await asyncio.sleep(0.05)
        server.close()
        assert not server.is_serving()
        assert server.sockets == ()
        waiting = asyncio.create_task(server.wait_closed())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        transport.close()
        await waiting
        await here.lost.wait()

    run(work)


def test_serving_for_ever_ends_when_canceled(run: Run) -> None:
    async def work() -> None:
        server = await Kernel().create_server(Peer, None, 0)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        assert not server.is_serving()
        await server.wait_closed()

    run(work)


def test_a_factory_that_fails_costs_its_connection_and_no_more(run: Run) -> None:
    async def work() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told_: told.append(told_))
        made: list[Peer] = []

        def factory() -> Peer:
            if not made:
                made.append(Peer())
                raise ZeroDivisionError
            made.append(Peer())
            return made[-1]

        kernel = Kernel()
        server = await kernel.create_server(factory, None, 0)
        _, first = await kernel.create_connection(Peer, "127.0.0.1", server.port)
        await until(lambda: bool(told))
        assert isinstance(told[0]["exception"], ZeroDivisionError)
        transport, _ = await kernel.create_connection(Peer, "127.0.0.1", server.port)
        await until(lambda: len(made) == 2)
        first.transport.abort()
        transport.abort()
        server.close()
        await server.wait_closed()

    run(work)


OPTIONS: dict[str, tuple[dict[str, Any], int, int, int]] = {
    "Nagle's rule": ({"nodelay": False}, socket.IPPROTO_TCP, socket.TCP_NODELAY, 0),
    "no delay": ({}, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    "keep-alive": ({"keepalive": True}, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "its idle time": (
        {"keepalive": True, "keepalive_idle": 20 * SECOND},
        socket.IPPROTO_TCP,
        socket.TCP_KEEPIDLE,
        20,
    ),
    "send buffer": ({"send_buffer": 65536}, socket.SOL_SOCKET, socket.SO_SNDBUF, 131072),
    "receive buffer": ({"receive_buffer": 65536}, socket.SOL_SOCKET, socket.SO_RCVBUF, 131072),
}


@pytest.mark.rfc("6897", "4.4.2", "M6897-4.4.2-01")
@pytest.mark.rfc("6897", "4.4.3", "M6897-4.4.3-01")
@pytest.mark.parametrize("mptcp", [True, False], ids=["mptcp", "tcp"])
@pytest.mark.parametrize(
    ("settings", "level", "option", "value"), OPTIONS.values(), ids=OPTIONS.keys()
)
def test_settings_reach_the_socket(
    run: Run, mptcp: bool, settings: dict[str, Any], level: int, option: int, value: int
) -> None:
    async def work() -> None:
        kernel = Kernel()
        server = await kernel.create_server(Peer, None, 0)
        chosen = Settings(mptcp=mptcp, **settings)
        transport, _ = await kernel.create_connection(
            Peer, "127.0.0.1", server.port, settings=chosen
        )
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(level, option) == value
        transport.abort()
        server.close()
        await server.wait_closed()

    run(work)


def test_a_setting_that_multipath_tcp_refuses_is_the_callers_to_give_up(run: Run) -> None:
    async def work() -> None:
        kernel = Kernel()
        server = await kernel.create_server(Peer, None, 0)
        hurried = Settings(user_timeout=SECOND)
        with pytest.raises(NotSupportedError, match="TCP_USER_TIMEOUT needs TCP"):
            await kernel.create_connection(Peer, "127.0.0.1", server.port, settings=hurried)
        with pytest.raises(NotSupportedError, match="TCP_USER_TIMEOUT needs TCP"):
            await kernel.create_server(Peer, None, 0, settings=hurried)
        transport, peer = await Kernel(mptcp=False).create_connection(
            Peer, "127.0.0.1", server.port, settings=hurried, reason="nothing else was left"
        )
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000
        assert isinstance(peer.connection, KernelConnection)
        assert peer.connection.info.fallback_reason == "nothing else was left"
        transport.abort()
        server.close()
        await server.wait_closed()

    run(work)


@pytest.mark.parametrize("mptcp", [True, False], ids=["mptcp", "tcp"])
def test_early_data_come_first_and_leave_on_the_syn_once_a_cookie_is_known(mptcp: bool) -> None:
    async def work() -> None:
        kernel = Kernel(mptcp=mptcp)
        made: list[Peer] = []

        def accept() -> Peer:
            made.append(Peer())
            return made[-1]

        server = await kernel.create_server(accept, None, 0, settings=Settings(fast_open="server"))
        for at in range(2):
            transport, _ = await kernel.create_connection(
                Peer, "127.0.0.1", server.port, settings=Settings(fast_open="client"), data=b"early"
            )
            transport.write(b" bird")
            await until(lambda at=at: len(made) > at and made[at].data == b"early bird")  # type: ignore[misc]
            sock = transport.get_extra_info("socket")
            data_on_syn = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 6)[5] & 0x20
            assert bool(data_on_syn) == (at == 1)
            transport.close()
        server.close()
        await server.wait_closed()

    with Namespace() as namespace:
        namespace.set_sysctl("net.ipv4.tcp_fastopen", 3)
        namespace.run(lambda: asyncio.run(work()))
