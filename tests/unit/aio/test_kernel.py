from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from plait.aio.kernel import Kernel
from plait.errors import UsageError
from plait.host.settings import Settings
from plait.linux.netns import Namespace, can_make_namespaces

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Collect(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.ended.set_result(None)


@pytest.fixture
def run() -> Iterator[Callable[[Callable[[], Awaitable[None]]], None]]:
    with Namespace() as namespace:

        def inside(work: Callable[[], Awaitable[None]]) -> None:
            async def bounded() -> None:
                async with asyncio.timeout(10):
                    await work()

            namespace.run(lambda: asyncio.run(bounded()))

        yield inside


Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_megabyte_comes_back_over_multipath_tcp(run: Run, host: str) -> None:
    data = bytes(range(256)) * 4096

    async def work() -> None:
        kernel = Kernel()
        server = await kernel.create_server(Echo, None, 0)
        transport, protocol = await kernel.create_connection(Collect, host, server.port)
        transport.write(data)
        transport.write_eof()
        await protocol.ended
        assert protocol.data == data
        info = kernel.info(transport)
        assert info.is_mptcp
        assert info.bytes_received == len(data)
        assert kernel.counters.snapshot()["MPCapableSYNTX"] == 1
        transport.close()
        await asyncio.sleep(0)
        last = kernel.info(transport)
        assert (last.token, last.bytes_received) == (info.token, len(data))
        assert [one.tcp.state for one in last.subflows] == ["CLOSED"]
        await kernel.close()
        await server.wait_closed()

    run(work)


def test_accepted_connections_send_at_once(run: Run) -> None:
    async def work() -> None:
        made: asyncio.Queue[socket.socket] = asyncio.Queue()

        class Watched(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.put_nowait(transport.get_extra_info("socket"))

        kernel = Kernel()
        server = await kernel.create_server(Watched, None, 0)
        transport, _ = await kernel.create_connection(Watched, "127.0.0.1", server.port)
        for _ in range(2):
            sock = await made.get()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.close()
        await kernel.close()
        await server.wait_closed()

    run(work)


def test_settings_of_one_connection_override_the_kernels(run: Run) -> None:
    async def work() -> None:
        kernel = Kernel()
        server = await kernel.create_server(Echo, None, 0)
        plain = Settings(mptcp=False, congestion="reno")
        transport, _ = await kernel.create_connection(
            Collect, "127.0.0.1", server.port, settings=plain
        )
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
        name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        assert name.rstrip(b"\0") == b"reno"
        assert not kernel.info(transport).is_mptcp
        transport.close()
        await kernel.close()
        await server.wait_closed()

    run(work)


def test_a_closed_server_accepts_no_more(run: Run) -> None:
    async def work() -> None:
        kernel = Kernel()
        server = await kernel.create_server(Echo, None, 0)
        server.close()
        server.close()
        await server.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await kernel.create_connection(Collect, "127.0.0.1", server.port)

    run(work)


def test_a_connection_attempt_can_be_canceled(run: Run) -> None:
    async def work() -> None:
        kernel = Kernel()
        with socket.socket() as full:  # its backlog takes no more, so connecting hangs
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            first, _ = await kernel.create_connection(Collect, "127.0.0.1", port)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await kernel.create_connection(Collect, "127.0.0.1", port)
            first.abort()
            await asyncio.sleep(0)

    run(work)


def test_mptcp_switched_off_is_told_at_once() -> None:
    with Namespace() as namespace:
        namespace.set_sysctl("net.mptcp.enabled", 0)
        with pytest.raises(UsageError, match=r"sysctl net\.mptcp\.enabled=1"):
            namespace.run(Kernel)
