r"""Talk to a server, and steer the subflows by hand.

    python examples/subflows.py 10.0.1.2 7007

Then type `list`, `open 10.0.2.1`, `backup 2`, `close 1`; other lines are sent.  The kernel lets
programs steer with CAP_NET_ADMIN and `sysctl net.mptcp.pm_type=1`; a stack of plait's always:

    python examples/subflows.py 10.9.1.2 7007 --tun t1,local=10.9.1.1,peer=10.9.1.2/24 \
        --tun t2,local=10.9.2.1,peer=10.9.2.2/24
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from ipaddress import ip_address

import plait
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.errors import PlaitError


def steer(connection: plait.Connection, line: str) -> str | None:
    """Do what a line asks for and return what to say; None if it is no command."""
    match line.split():
        case ["list"]:
            return "\n".join(
                f"{one.id}: {one.path}{' backup' if one.low_prio else ''}"
                for one in connection.subflows()
            )
        case ["open", local]:
            return f"opening {connection.open_subflow(ip_address(local))}"
        case ["backup", number]:
            connection.set_backup(int(number), backup=True)
            return f"{number} is a backup"
        case ["close", number]:
            connection.close_subflow(int(number))
            return f"closing {number}"
    return None


async def talk(host: str, port: int, backend: str, tuns: list[str]) -> None:
    """Take lines from standard input until it ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with AsyncExitStack() as made:
        stack = None
        if tuns:
            devices = [Tun(TunSpec.parse(tun)) for tun in tuns]
            stack = await made.enter_async_context(plait.Stack(devices))
        _, writer = await plait.open_connection(host, port, backend=backend, stack=stack, timeout=5)
        connection = plait.connection_of(writer)
        while line := (await lines.readline()).decode():
            try:
                said = steer(connection, line)
            except (OSError, ValueError, PlaitError) as error:
                said = f"error: {error}"
            if said is None:
                writer.write(line.encode())
                await writer.drain()
            else:
                print(said, flush=True)
        writer.close()
        await writer.wait_closed()


def main() -> int:
    """Read the options and talk."""
    parser = argparse.ArgumentParser(description="Steer the subflows of a connection.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--backend", default="auto", help="auto, kernel or tcp")
    parser.add_argument("--tun", action="append", default=[], help="a path of a stack; repeat it")
    options = parser.parse_args()
    try:
        asyncio.run(talk(options.host, options.port, options.backend, options.tun))
    except KeyboardInterrupt:
        return 130
    except (OSError, PlaitError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
