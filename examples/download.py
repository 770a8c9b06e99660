"""Download over all interfaces at once, and show what comes by which.

    python examples/download.py http://10.0.1.2:8080/data -o data

The kernel's path manager opens the subflows: `ip mptcp endpoint` tells and changes which.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path

import aiohttp

import plait
from plait.connectors.aiohttp import Connector, connection_of
from plait.errors import PlaitError


def progress(connection: plait.Connection, received: int, total: int | None) -> str:
    """Return one line: how much has arrived, and by which local address."""
    carried: Counter[str] = Counter()
    for subflow in connection.info.subflows:
        carried[str(subflow.path.local)] += subflow.tcp.bytes_received
    by = ", ".join(f"{octets / 1e6:.1f} by {local}" for local, octets in carried.items())
    of = f" of {total / 1e6:.1f}" if total else ""
    return f"{received / 1e6:.1f}{of} MB ({by or connection.info.backend})"


async def download(url: str, output: str, local: list[str], backend: str) -> None:
    """Write the body to a file."""
    connector = Connector(backend=backend, local_addr=local or None)
    loop = asyncio.get_running_loop()
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, raise_for_status=True) as response,
    ):
        connection = connection_of(response)
        received, shown = 0, loop.time()
        with Path(output).open("wb") as file:  # noqa: ASYNC230 - one small write at a time
            async for data in response.content.iter_any():
                received += file.write(data)
                if loop.time() - shown > 0.2:
                    shown = loop.time()
                    line = progress(connection, received, response.content_length)
                    print(f"\r{line}", end="", flush=True)
        print(f"\r{progress(connection, received, response.content_length)}")


def main() -> int:
    """Read the options and download."""
    parser = argparse.ArgumentParser(description="Download over several interfaces.")
    parser.add_argument("url")
    parser.add_argument("-o", "--output", default="download")
    parser.add_argument(
        "--local", action="append", default=[], help="an address to connect from; may be repeated"
    )
    parser.add_argument("--backend", default="auto", help="auto, kernel or tcp")
    options = parser.parse_args()
    try:
        asyncio.run(download(options.url, options.output, options.local, options.backend))
    except KeyboardInterrupt:
        return 130
    except (OSError, aiohttp.ClientError, PlaitError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
