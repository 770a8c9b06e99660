"""An echo server that tells what each connection runs on.

python examples/echo_server.py --port 7007
plait nc localhost 7007
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress

import plait
from plait.errors import PlaitError


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, up to its end, and tell how it came."""
    connection = plait.connection_of(writer)
    host, port = writer.get_extra_info("peername")[:2]
    info = connection.info
    kind = "Multipath TCP" if info.is_mptcp else f"TCP: {info.fallback_reason}"
    print(f"{host} port {port}: {info.backend}, {kind}", flush=True)
    octets = 0
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            octets += len(data)
            writer.write(data)
            await writer.drain()
    paths = len(connection.info.subflows)
    writer.close()
    print(f"{host} port {port}: {octets} octets, {paths} paths", flush=True)


async def serve(host: str | None, port: int, backend: str) -> None:
    """Serve until interrupted."""
    async with await plait.start_server(echo, host, port, backend=backend) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


def main() -> int:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description="Echo over Multipath TCP and TCP.")
    parser.add_argument("--host", help="an address of ours; all by default")
    parser.add_argument("--port", type=int, default=7007, help="0 for any")
    parser.add_argument("--backend", default="auto", help="auto, kernel or tcp")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.host, options.port, options.backend))
    except KeyboardInterrupt:
        return 130
    except (OSError, PlaitError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
