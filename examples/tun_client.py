"""A client over a TUN device: plait on one side, the Linux kernel's Multipath TCP on the other.

As root, or in a network namespace of your own (`unshare --user --map-root-user --net bash`):

    plait nc -l 5001 --via kernel &
    python examples/tun_client.py
"""

from __future__ import annotations

import asyncio

import plait
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec


async def main() -> None:
    """Make a TUN device, send one line to the kernel's side of it, and close."""
    device = Tun(TunSpec.parse("plait0,local=10.9.1.1,peer=10.9.1.2/24"))
    async with plait.Stack([device]) as stack:
        _, writer = await plait.open_connection("10.9.1.2", 5001, stack=stack)
        writer.write(b"hello from a stack in Python\n")
        await writer.drain()
        info = plait.connection_of(writer).info
        print(f"Multipath TCP: {info.is_mptcp}, token {info.token or 0:08x}")
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
