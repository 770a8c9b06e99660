"""An echo server and its client over plait's own stack, both in one process.

Two hosts are joined by two in-process links, so this needs no privileges:

    python examples/echo.py hello over two paths
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from ipaddress import ip_address

import plait
from plait.drivers.memory import pair


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, up to its end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def talk(words: list[str]) -> None:
    """Send lines over two paths and print what comes back."""
    links = [
        pair([ip_address(f"10.0.{path}.1")], [ip_address(f"10.0.{path}.2")]) for path in (1, 2)
    ]
    async with (
        plait.Stack([here for here, _ in links]) as near,
        plait.Stack([there for _, there in links]) as far,
    ):
        await plait.start_server(echo, None, 7, stack=far)
        reader, writer = await plait.open_connection("10.0.1.2", 7, stack=near)
        for word in words:
            writer.write(f"{word}\n".encode())
            print((await reader.readline()).decode(), end="")
        for path in plait.connection_of(writer).paths:
            print(f"  {path}")
        writer.close()


def main() -> int:
    """Read the words and have them sent."""
    parser = argparse.ArgumentParser(description="Echo words over two paths in one process.")
    parser.add_argument("words", nargs="*", default=["hello", "over", "two", "paths"])
    options = parser.parse_args()
    try:
        asyncio.run(talk(options.words))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
