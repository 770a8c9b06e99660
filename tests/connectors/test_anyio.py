from __future__ import annotations

import ssl
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSStream
from support.api_world import client_context
from support.served import BODY, SERVER, Served, content, request

from plait.connectors.anyio import PlaitAttribute, Stream, connect_tcp


@pytest.mark.parametrize("secured", ["no", "by plait", "by anyio"])
def test_a_stream_fetches_over_two_subflows(server: Served, secured: str) -> None:
    scheme = "http" if secured == "no" else "https"

    async def client(backend: Any) -> None:
        context: ssl.SSLContext | None = client_context() if secured == "by plait" else None
        stream: Any = await connect_tcp(SERVER, server.ports[scheme], backend=backend, ssl=context)
        if secured == "by anyio":
            stream = await TLSStream.wrap(
                stream, hostname=SERVER, ssl_context=client_context(), standard_compatible=False
            )
        async with stream:
            await stream.send(request("hello"))
            assert content(await stream.receive()) == b"hello"
            await stream.send(request("body", last=True))
            received = bytearray()
            try:
                while True:
                    received += await stream.receive()
            except anyio.EndOfStream:
                assert content(received) == BODY
            told = stream.extra_attributes
            assert told[SocketAttribute.remote_address]() == (SERVER, server.ports[scheme])
            server.check(told[PlaitAttribute.connection]())

    server.run(client)


def test_errors_are_those_of_anyio(server: Served) -> None:
    async def client(backend: Any) -> None:
        stream = await connect_tcp(SERVER, server.ports["http"], backend=backend)
        assert isinstance(stream, Stream)
        await stream.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        await stream.aclose()
        await stream.aclose()
        for call in (stream.receive(), stream.send(b"late"), stream.send_eof()):
            with pytest.raises(anyio.ClosedResourceError):
                await call

    server.run(client)
