"""Choose the scheduler of a connection while it is open, and see which path carries what.

Both ends are in this process; one path is ten times as long as the other:

    python examples/scheduler.py default redundant round-robin
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from ipaddress import ip_address

import plait
from plait.drivers.memory import pair
from plait.errors import PlaitError
from plait.units import MILLISECOND

DELAYS = {"10.0.1": 2 * MILLISECOND, "10.0.2": 20 * MILLISECOND}


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Acknowledge every megabyte."""
    try:
        while await reader.readexactly(1_000_000):
            writer.write(b".")
    except asyncio.IncompleteReadError:
        writer.close()


async def compare(schedulers: list[str], megabytes: int) -> None:
    """Send as much with each scheduler, over one connection."""
    links = [
        pair([ip_address(f"{net}.1")], [ip_address(f"{net}.2")], delay=delay)
        for net, delay in DELAYS.items()
    ]
    async with (
        plait.Stack([here for here, _ in links]) as near,
        plait.Stack([there for _, there in links]) as far,
    ):
        await plait.start_server(swallow, None, 7, stack=far)
        reader, writer = await plait.open_connection("10.0.1.2", 7, stack=near)
        connection = plait.connection_of(writer)
        for name in schedulers:
            connection.change(scheduler=name)
            before = sent_by_path(connection)
            for _ in range(megabytes):
                writer.write(bytes(1_000_000))
                await writer.drain()
            await reader.readexactly(megabytes)
            print(f"{name}:")
            for path, octets in sent_by_path(connection).items():
                print(f"  {path}: {(octets - before.get(path, 0)) / 1e6:.1f} MB")
        writer.close()


def sent_by_path(connection: plait.Connection) -> dict[str, int]:
    """Return the octets that each path has carried."""
    return {str(one.path): one.tcp.bytes_sent for one in connection.info.subflows}


def main() -> int:
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description="Compare schedulers on one open connection.")
    parser.add_argument("schedulers", nargs="*", default=["default", "redundant"])
    parser.add_argument("--megabytes", type=int, default=10, help="to send with each")
    options = parser.parse_args()
    try:
        asyncio.run(compare(options.schedulers, options.megabytes))
    except KeyboardInterrupt:
        return 130
    except PlaitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
