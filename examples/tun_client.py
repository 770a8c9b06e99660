"""A client over a TUN device: plait on one side, the Linux kernel's Multipath TCP on the other.

As root, or in a network namespace of your own (`unshare --user --map-root-user --net bash`):

    plait nc -l 5001 --via kernel &
    python examples/tun_client.py
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import plait
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.errors import PlaitError


async def greet(device: str, host: str, port: int) -> None:
    """Make a TUN device, send one line to the kernel's side of it, and close."""
    async with plait.Stack([Tun(TunSpec.parse(device))]) as stack:
        _, writer = await plait.open_connection(host, port, stack=stack, timeout=5)
        writer.write(b"hello from a stack in Python\n")
        await writer.drain()
        info = plait.connection_of(writer).info
        print(f"Multipath TCP: {info.is_mptcp}, token {info.token or 0:08x}")
        writer.close()


def main() -> int:
    """Read the options and send the line."""
    parser = argparse.ArgumentParser(description="Greet the kernel over a TUN device.")
    parser.add_argument("--tun", default="plait0,local=10.9.1.1,peer=10.9.1.2/24")
    parser.add_argument("--host", default="10.9.1.2")
    parser.add_argument("--port", type=int, default=5001)
    options = parser.parse_args()
    try:
        asyncio.run(greet(options.tun, options.host, options.port))
    except KeyboardInterrupt:
        return 130
    except (OSError, PlaitError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
