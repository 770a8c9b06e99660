"""Fetch pages with aiohttp over Multipath TCP, and tell what each came by.

python examples/aiohttp_client.py https://example.org/
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import aiohttp

from plait.connectors.aiohttp import Connector, connection_of
from plait.errors import PlaitError


async def fetch(urls: list[str], backend: str) -> None:
    """Print what comes, and on standard error how."""
    async with aiohttp.ClientSession(connector=Connector(backend=backend)) as session:
        for url in urls:
            async with session.get(url, raise_for_status=True) as response:
                connection = connection_of(response)
                print(await response.text())
            info = connection.info
            how = f"{info.backend}, {len(info.subflows)} paths"
            if info.fallback_reason:
                how += f": {info.fallback_reason}"
            print(how, file=sys.stderr)


def main() -> int:
    """Read the options and fetch."""
    parser = argparse.ArgumentParser(description="Fetch over Multipath TCP.")
    parser.add_argument("urls", nargs="+", metavar="url")
    parser.add_argument("--backend", default="auto", help="auto, kernel or tcp")
    options = parser.parse_args()
    try:
        asyncio.run(fetch(options.urls, options.backend))
    except KeyboardInterrupt:
        return 130
    except (OSError, aiohttp.ClientError, PlaitError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
