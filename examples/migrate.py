"""Move a running transfer from one address to another, without losing an octet.

Both ends are in this process, with two links between them, so this needs no privileges:

    python examples/migrate.py --megabytes 20
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import sys
from ipaddress import ip_address

import plait
from plait.drivers.memory import pair
from plait.units import MILLISECOND

OLD, NEW = ip_address("10.0.1.1"), ip_address("10.0.2.1")


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the SHA-256 of what came."""
    seen = hashlib.sha256()
    while data := await reader.read(1 << 18):
        seen.update(data)
    writer.write(seen.digest())
    writer.close()


async def transfer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, megabytes: int
) -> bool:
    """Send, migrate halfway, and return whether all arrived as it was sent."""
    connection = plait.connection_of(writer)
    sent = hashlib.sha256()
    carried: dict[str, int] = {}
    for count in range(megabytes):
        if count == megabytes // 2:
            print(f"{count} MB written; moving from {OLD} to {NEW}")
            connection.add_addresses([NEW])
            connection.remove_addresses([OLD])
        data = random.randbytes(1_000_000)  # noqa: S311 - no secret
        sent.update(data)
        writer.write(data)
        await writer.drain()
        carried |= {str(one.path): one.tcp.bytes_sent for one in connection.info.subflows}
    writer.write_eof()
    same = await reader.read() == sent.digest()
    for path, octets in carried.items():
        print(f"  {path}: {octets / 1e6:.1f} MB")
    print("all arrived" if same else "something is missing")
    writer.close()
    return same


async def migrate(megabytes: int) -> bool:
    """Join two hosts by two links and transfer over them."""
    links = [
        pair([near], [ip_address(f"10.0.{path}.2")], delay=2 * MILLISECOND)
        for path, near in enumerate((OLD, NEW), 1)
    ]
    async with (
        plait.Stack([here for here, _ in links]) as near,
        plait.Stack([there for _, there in links]) as far,
    ):
        await plait.start_server(digest, None, 7, stack=far)
        streams = await plait.open_connection("10.0.1.2", 7, stack=near, local_addr=OLD)
        return await transfer(*streams, megabytes)


def main() -> int:
    """Read the options and migrate."""
    parser = argparse.ArgumentParser(description="Migrate a running transfer.")
    parser.add_argument("--megabytes", type=int, default=20)
    options = parser.parse_args()
    try:
        return 0 if asyncio.run(migrate(options.megabytes)) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
