"""A program that uses every public name, for mypy --strict to judge; it is not run."""

import asyncio
import ssl

import plait


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()


class Echo(asyncio.Protocol):
    def hello(self) -> str:
        return "hello"


async def main(stack: plait.Stack, kernel: plait.Kernel, context: ssl.SSLContext) -> None:
    server = await plait.start_server(serve, None, 0, ssl=context, intent="handover")
    port: int = server.port
    reader, writer = await plait.open_connection(
        "localhost", port, backend=["kernel", "tcp"], ssl=True, timeout=5, limit=1 << 20
    )
    line: bytes = await reader.readline()
    writer.write(line)
    connection: plait.Connection = plait.connection_of(writer)
    connection.subflows()
    async for _happening in connection.events():
        pass
    with plait.use_stack(stack) as used:
        transport, protocol = await plait.create_connection(
            Echo, "localhost", port, stack=used, local_addr=["10.0.0.1", ("10.0.1.1", 80)]
        )
    transport.write(protocol.hello().encode())
    async with await plait.create_server(Echo, None, 0, backend=kernel) as other:
        await other.serve_forever()


def block(stack: plait.Stack) -> bytes:
    with plait.socket(backend="stack", stack=stack) as sock:
        sock.connect(("10.0.0.1", 80))
        connection: plait.Connection = sock.connection
        connection.change(intent="aggregate")
        return sock.recv(1 << 10)
