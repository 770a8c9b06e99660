from __future__ import annotations

import asyncio
import hashlib
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.api_world import TLS, client_context
from support.served import BODY, GREETING, SERVER, Served

from plait.aio.connection import connection_of
from plait.connectors.aiohttp import Connector, Site


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_session_fetches_over_two_subflows(server: Served, scheme: str) -> None:
    async def client(backend: Any) -> None:
        connector = Connector(backend=backend, ssl=client_context())
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(server.url("hello", scheme)) as response:
                assert await response.text() == GREETING
            async with session.get(server.url("body", scheme)) as response:
                assert response.connection is not None
                assert response.connection.transport is not None
                connection = connection_of(response.connection.transport)
                assert await response.read() == BODY
            server.check(connection)

    server.run(client)


def test_a_fingerprint_stands_for_a_certificate(server: Served) -> None:
    right = hashlib.sha256(ssl.PEM_cert_to_DER_cert((TLS / "certificate.pem").read_text())).digest()

    async def client(backend: Any) -> None:
        connector = Connector(backend=backend)
        async with aiohttp.ClientSession(connector=connector) as session:
            url = server.url("hello", "https")
            async with session.get(url, ssl=aiohttp.Fingerprint(right)) as response:
                assert await response.text() == GREETING
        async with aiohttp.ClientSession(connector=Connector(backend=backend)) as session:
            with pytest.raises(aiohttp.ServerFingerprintMismatch):
                await session.get(url, ssl=aiohttp.Fingerprint(bytes(32)))

    server.run(client)


def test_errors_are_those_of_aiohttp(server: Served) -> None:
    async def client(backend: Any) -> None:
        async with aiohttp.ClientSession(connector=Connector(backend=backend)) as session:
            with pytest.raises(aiohttp.ClientConnectorError, match="refused"):
                await session.get(f"http://{SERVER}:9/")
            with pytest.raises(aiohttp.ClientConnectorDNSError):
                await session.get("http://nowhere.invalid/")
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(server.url("hello", "https"))
            with pytest.raises(aiohttp.ClientConnectorSSLError):
                await session.get(server.url("hello").replace("http:", "https:"))

    server.run(client)


def test_a_time_out_for_connecting_is_kept(server: Served) -> None:
    async def client(backend: Any) -> None:
        timeout = aiohttp.ClientTimeout(sock_connect=0.05)
        connector = Connector(backend=backend)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            with pytest.raises(aiohttp.ConnectionTimeoutError, match="to host http"):
                await session.get("http://10.0.1.9/")

    server.run(client)


def test_a_site_tells_its_url() -> None:
    async def scenario() -> tuple[str, int]:
        runner = web.AppRunner(web.Application())
        await runner.setup()
        site = Site(runner, "127.0.0.1", backend="tcp")
        await site.start()
        try:
            return site.name, site.port
        finally:
            await runner.cleanup()

    name, port = asyncio.run(scenario())
    assert name == f"http://127.0.0.1:{port}"
