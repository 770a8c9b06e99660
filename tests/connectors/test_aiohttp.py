from __future__ import annotations

import asyncio
import hashlib
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.api_world import TLS, client_context
from support.served import BODY, GREETING, SERVER, Served

import plait
from plait.connectors.aiohttp import Connector, Site, connection_of
from plait.drivers.memory import pair
from plait.errors import UsageError


@pytest.mark.rfc("6897", "6.1", "M6897-6.1-01")  # the certificate has no other address
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_session_fetches_over_two_subflows(server: Served, scheme: str) -> None:
    async def client(backend: Any) -> None:
        connector = Connector(backend=backend, ssl=client_context())
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(server.url("hello", scheme)) as response:
                assert await response.text() == GREETING
            async with session.get(server.url("body", scheme)) as response:
                connection = connection_of(response)
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


def test_a_proxy_is_reached_the_same_way(server: Served) -> None:
    async def client(backend: Any) -> None:
        async with (
            aiohttp.ClientSession(connector=Connector(backend=backend)) as session,
            session.get("http://nowhere.invalid/hello", proxy=server.url("")) as response,
        ):
            assert await response.text() == GREETING
            assert connection_of(response).info.backend == server.row

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


def test_a_response_of_another_connector_has_no_connection() -> None:
    async def scenario() -> None:
        runner = web.AppRunner(web.Application())
        await runner.setup()
        site = Site(runner, "127.0.0.1", backend="tcp")
        await site.start()
        async with aiohttp.ClientSession() as session, session.get(site.name) as response:
            with pytest.raises(UsageError, match="not one of plait's"):
                connection_of(response)
        await runner.cleanup()

    asyncio.run(scenario())


def test_a_stack_serves_files(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)
    near, far = pair([ip_address("10.0.0.1")], [ip_address("10.0.0.2")])

    async def scenario() -> bytes:
        application = web.Application()
        application.router.add_static("/", tmp_path)
        runner = web.AppRunner(application)
        async with plait.Stack([near]) as here, plait.Stack([far]) as there:
            await runner.setup()
            site = Site(runner, "10.0.0.2", stack=there)
            await site.start()
            session = aiohttp.ClientSession(connector=Connector(stack=here))
            async with session, session.get(f"{site.name}/file") as response:
                body = await response.read()
            await runner.cleanup()
            return body

    assert asyncio.run(scenario()) == data
