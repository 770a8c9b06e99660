from __future__ import annotations

from typing import Any

import httpcore
import httpx
import pytest
from support.api_world import client_context
from support.served import BODY, GREETING, SERVER, Served, leaks_nothing

from plait.connectors.httpx import AsyncBackend, AsyncTransport, BlockingBackend, Transport
from plait.errors import NotSupportedError


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_async_client_fetches_over_two_subflows(server: Served, scheme: str) -> None:
    async def client(backend: Any) -> None:
        transport = AsyncTransport(backend=backend, verify=client_context())
        async with httpx.AsyncClient(transport=transport) as session:
            assert (await session.get(server.url("hello", scheme))).text == GREETING
            response = await session.get(server.url("body", scheme))
            assert response.content == BODY
            server.check(response.extensions["network_stream"].get_extra_info("plait"))

    server.run(client)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_fetches_over_two_subflows(server: Served, scheme: str) -> None:
    def client(backend: Any) -> None:
        transport = Transport(backend=backend, verify=client_context())
        with httpx.Client(transport=transport) as session:
            assert session.get(server.url("hello", scheme)).text == GREETING
            response = session.get(server.url("body", scheme))
            assert response.content == BODY
            server.check(response.extensions["network_stream"].get_extra_info("plait"))

    server.block(client)


def test_a_proxy_is_reached_the_same_way(server: Served) -> None:
    url = "http://nowhere.invalid/hello"

    async def client(backend: Any) -> None:
        transport = AsyncTransport(backend=backend, proxy=server.url(""))
        async with httpx.AsyncClient(transport=transport) as session:
            assert (await session.get(url)).text == GREETING

    def blocking_client(backend: Any) -> None:
        with httpx.Client(transport=Transport(backend=backend, proxy=server.url(""))) as session:
            assert session.get(url).text == GREETING

    server.block(blocking_client)
    if server.row != "stack":  # whose links are gone with the first stack
        server.run(client)


def test_an_idle_connection_that_ended_is_not_used_again(server: Served) -> None:
    async def client(backend: Any) -> None:
        transport = AsyncTransport(backend=backend)
        async with httpx.AsyncClient(transport=transport) as session:
            first = await session.get(server.url("hello"))
            stream = first.extensions["network_stream"]
            assert not stream.get_extra_info("is_readable")
            await stream.aclose()
            assert stream.get_extra_info("is_readable")
            assert (await session.get(server.url("hello"))).text == GREETING

    server.run(client)


def test_errors_are_those_of_httpcore(server: Served) -> None:
    async def client(backend: Any) -> None:
        network = AsyncBackend(backend=backend)
        with pytest.raises(httpcore.ConnectError, match=f"cannot connect to {SERVER} port 9"):
            await network.connect_tcp(SERVER, 9, timeout=5)
        with pytest.raises(NotSupportedError, match="settings"):
            await network.connect_tcp(SERVER, 9, socket_options=[(6, 1, 1)])
        stream = await network.connect_tcp(SERVER, server.ports["http"])
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(1, timeout=0.01)
        with pytest.raises(httpcore.ConnectError):
            await stream.start_tls(client_context(), SERVER, timeout=5)
        await stream.aclose()

    server.run(client)


def test_blocking_streams_raise_them_too(server: Served) -> None:
    def client(backend: Any) -> None:
        network = BlockingBackend(backend=backend)
        with pytest.raises(httpcore.ConnectError):
            network.connect_tcp(SERVER, 9, timeout=5)
        stream = network.connect_tcp(SERVER, server.ports["http"], timeout=5)
        assert stream.get_extra_info("server_addr") == (SERVER, server.ports["http"])
        assert not stream.get_extra_info("is_readable")
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(1, timeout=0.01)
        with pytest.raises(httpcore.ConnectError):
            stream.start_tls(client_context(), SERVER, timeout=5)
        assert stream.get_extra_info("is_readable")

    server.block(client)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_clients_leave_no_descriptor_behind(server: Served, scheme: str) -> None:
    def client(backend: Any) -> None:
        def visit() -> None:
            transport = Transport(backend=backend, verify=client_context())
            with httpx.Client(transport=transport) as session:
                assert session.get(server.url("hello", scheme)).text == GREETING

        leaks_nothing(visit)

    server.block(client)
