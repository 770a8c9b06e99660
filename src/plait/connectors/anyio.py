"""anyio: byte streams, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Unpack

import anyio
from anyio import TypedAttributeSet, typed_attribute
from anyio.abc import ByteStream, SocketAttribute

from plait.aio.connection import Connection, connection_of
from plait.aio.opening import ConnectOptions
from plait.aio.streams import open_connection


class PlaitAttribute(TypedAttributeSet):
    """What `stream.extra` can be asked besides anyio's own."""

    connection: Connection = typed_attribute()


async def connect_tcp(host: str, port: int, **options: Unpack[ConnectOptions]) -> Stream:
    """Connect and return a stream, as `anyio.connect_tcp` does.

    Args:
        host: A name or a numeric address.
        port: The remote port.
        options: Those of `plait.create_connection`, whose errors are raised as well.
    """
    return Stream(*await open_connection(host, port, **options))


class Stream(ByteStream):
    """A byte stream over an asyncio reader and writer of plait's, TLS in between or not.

    `stream.extra(PlaitAttribute.connection)` is the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._closed = False

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The connection and its addresses."""
        told = self._writer.get_extra_info
        return {
            PlaitAttribute.connection: lambda: connection_of(self._writer),
            SocketAttribute.local_address: lambda: told("sockname")[:2],
            SocketAttribute.local_port: lambda: told("sockname")[1],
            SocketAttribute.remote_address: lambda: told("peername")[:2],
            SocketAttribute.remote_port: lambda: told("peername")[1],
        }

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived.  Raises anyio's EndOfStream at the end."""
        with self._mapping():
            data = await self._reader.read(max_bytes)
        if not data:
            raise anyio.ClosedResourceError if self._closed else anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        """Write, and wait while much has not left."""
        with self._mapping():
            self._writer.write(item)
            await self._writer.drain()

    async def send_eof(self) -> None:
        """End our half of the stream."""
        with self._mapping():
            self._writer.write_eof()

    async def aclose(self) -> None:
        """Close; a scope that is canceled meanwhile drops what has not left."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # it is closed all the same
        except BaseException:
            self._writer.transport.abort()
            raise

    @contextmanager
    def _mapping(self) -> Iterator[None]:
        """Turn errors into anyio's."""
        if self._closed:
            raise anyio.ClosedResourceError
        try:
            yield
        except OSError as error:
            raise anyio.BrokenResourceError from error
