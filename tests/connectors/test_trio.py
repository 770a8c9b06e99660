from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import Any

import pytest
import trio
from support.api_world import client_context
from support.served import BODY, SERVER, Served, content, request
from trio._core import _thread_cache

from plait.connectors.trio import _Opening, open_tcp_stream
from plait.sockets import Socket, create_connection, create_server


@pytest.fixture(autouse=True)
def threads_of_this_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep trio from using threads again that were started in another network namespace."""
    monkeypatch.setattr(_thread_cache, "THREAD_CACHE", _thread_cache.ThreadCache())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_stream_fetches_over_two_subflows(server: Served, scheme: str) -> None:
    async def fetch(backend: Any) -> None:
        plain = await open_tcp_stream(SERVER, server.ports[scheme], backend=backend)
        stream: Any = plain
        if scheme == "https":
            context = client_context()
            stream = trio.SSLStream(plain, context, server_hostname=SERVER, https_compatible=True)
        async with stream:
            await stream.send_all(request("hello"))
            assert content(await stream.receive_some()) == b"hello"
            await stream.send_all(request("body", last=True))
            received = bytearray()
            async for data in stream:
                received += data
            assert content(received) == BODY
            server.check(plain.connection)

    server.block(lambda backend: trio.run(fetch, backend))


def test_a_stream_can_be_half_closed(server: Served) -> None:
    async def fetch(backend: Any) -> None:
        async with await open_tcp_stream(SERVER, server.ports["http"], backend=backend) as stream:
            await stream.wait_send_all_might_not_block()
            await stream.send_all(request("hello"))
            assert content(await stream.receive_some()) == b"hello"
            await stream.send_eof()
            assert await stream.receive_some() == b""

    server.block(lambda backend: trio.run(fetch, backend))


def test_connecting_can_be_canceled(server: Served) -> None:
    async def give_up(backend: Any) -> float:
        began = time.monotonic()
        with trio.move_on_after(0.05) as scope, contextlib.suppress(OSError):
            await open_tcp_stream("10.0.1.9", 80, backend=backend)
        assert scope.cancelled_caught
        return time.monotonic() - began

    assert server.block(lambda backend: trio.run(give_up, backend)) < 1


def test_nobody_there_is_an_error_of_the_network(server: Served) -> None:
    async def fetch(backend: Any) -> None:
        with pytest.raises(ConnectionRefusedError):
            await open_tcp_stream(SERVER, 9, backend=backend)

    server.block(lambda backend: trio.run(fetch, backend))


def test_a_socket_that_comes_too_late_is_closed() -> None:
    with create_server(("127.0.0.1", 0), backend="tcp") as listener:
        opened: list[Socket] = []

        def slowly() -> Socket:
            opening.abandon()
            opened.append(create_connection(listener.getsockname(), backend="tcp"))
            return opened[0]

        opening = _Opening(partial(slowly))
        opening.work()
        assert opening.opened is None
        assert opened[0].fileno() < 0
