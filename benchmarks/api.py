"""What plait's API costs beside bare asyncio, both on the kernel's sockets, over loopback.

A process sends a stream, another one reads it, both by streams; then one opens connections, one
after the other, with an octet each way.  Rows are interleaved round by round and figures are
medians.  `bare` is asyncio with sockets that the benchmark makes and connects itself, since asyncio
cannot.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

from reporting import Row, options, save, show
from rich.console import Console

import plait
from plait.host.settings import Settings
from plait.linux.mptcp_sockets import kernel_has_mptcp

HOST: Final = "127.0.0.1"
CHUNK: Final = bytes(1 << 18)
LIMIT: Final = 1 << 18
START_SECONDS: Final = 10

PROTOCOLS: Final = {"TCP": socket.IPPROTO_TCP, "MPTCP": 262}
ROWS: Final = (
    ("bare asyncio on TCP", "bare", "TCP"),
    ("plait on TCP", "tcp", "TCP"),
    ("bare asyncio on MPTCP", "bare", "MPTCP"),
    ("plait on the kernel's MPTCP", "kernel", "MPTCP"),
)
"""Name, what makes the connections, and protocol; the baseline comes before what it is for."""

HEADINGS: Final = ("who", "Gbit/s", "lowest", "highest", "to bare", "opened/s", "to bare")

CUBIC: Final = Settings(congestion="cubic")
"""The default of a system may be BBR, which is erratic over Multipath TCP."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def bare(protocol: str) -> socket.socket:
    """Return a socket with the options that plait sets."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, PROTOCOLS[protocol])
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    return sock


async def listen(who: str, protocol: str, serve: Callable[..., Awaitable[None]]) -> int:
    """Serve on a free port and return it."""
    if who != "bare":
        server = await plait.start_server(serve, HOST, 0, backend=who, limit=LIMIT, settings=CUBIC)
        return server.port
    sock = bare(protocol)
    sock.bind((HOST, 0))
    sock.listen(128)
    await asyncio.start_server(serve, sock=sock, limit=LIMIT)
    port: int = sock.getsockname()[1]
    return port


async def connect(who: str, protocol: str, port: int) -> Streams:
    """Connect to the server."""
    if who != "bare":
        return await plait.open_connection(HOST, port, backend=who, limit=LIMIT, settings=CUBIC)
    sock = bare(protocol)
    sock.connect((HOST, port))  # at once, over loopback
    sock.settimeout(0)
    return await asyncio.open_connection(sock=sock, limit=LIMIT)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read to the end, and answer with how much that was."""
    octets = 0
    while data := await reader.read(LIMIT):
        octets += len(data)
    writer.write(b"%d" % octets)
    writer.close()
    await writer.wait_closed()


async def serve(who: str, protocol: str) -> None:
    """Be the server until the process is killed."""
    print(await listen(who, protocol, answer), flush=True)
    await asyncio.get_running_loop().create_future()


async def stream(who: str, protocol: str, port: int, seconds: float) -> float:
    """Send for a while; return Gbit/s."""
    reader, writer = await connect(who, protocol, port)
    begun = time.perf_counter()
    while time.perf_counter() < begun + seconds:
        writer.write(CHUNK)
        await writer.drain()
    writer.write_eof()
    octets = int(await reader.read())
    taken = time.perf_counter() - begun
    writer.close()
    await writer.wait_closed()
    return 8 * octets / taken / 1e9


async def open_many(who: str, protocol: str, port: int, seconds: float) -> float:
    """Open connections for a while, one after the other; return how many a second."""
    begun = time.perf_counter()
    count = 0
    while time.perf_counter() < begun + seconds:
        reader, writer = await connect(who, protocol, port)
        writer.write(b"x")
        writer.write_eof()
        assert await reader.read() == b"1"
        writer.close()
        await writer.wait_closed()
        count += 1
    return count / (time.perf_counter() - begun)


def measure(who: str, protocol: str, seconds: float) -> tuple[float, float]:
    """Return Gbit/s and connections a second, from a process of ours to another."""
    command = [sys.executable, __file__, "--serve", who, protocol]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = json.loads(server.stdout.readline())
            gbit = asyncio.run(stream(who, protocol, port, seconds))
            opened = asyncio.run(open_many(who, protocol, port, seconds / 3))
        finally:
            server.kill()
    return gbit, opened


def summarize(samples: dict[str, list[tuple[float, float]]]) -> list[Row]:
    """Return the rows of the table; each pair of rows begins with its baseline."""
    rows: list[Row] = []
    baseline = (0.0, 0.0)
    for name, runs in samples.items():
        rates = [gbit for gbit, _ in runs]
        medians = statistics.median(rates), statistics.median(opened for _, opened in runs)
        bare = name.startswith("bare")
        if bare:
            baseline = medians
        ratios = [None if bare else round(a / b, 3) for a, b in zip(medians, baseline, strict=True)]
        rows.append(
            {
                "name": name,
                "gbit_per_s": round(medians[0], 2),
                "lowest": round(min(rates), 2),
                "highest": round(max(rates), 2),
                "ratio_to_bare": ratios[0],
                "opened_per_s": round(medians[1]),
                "opened_ratio_to_bare": ratios[1],
            }
        )
    return rows


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=5, what="row")
    parser.add_argument("--seconds", type=float, default=2, help="length of each run")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve(*chosen.serve))
        return 0
    console = Console()
    rows = [row for row in ROWS if row[2] == "TCP" or kernel_has_mptcp()]
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in rows}
    for number in range(chosen.rounds):
        for name, who, protocol in rows:
            sample = measure(who, protocol, chosen.seconds)
            samples[name].append(sample)
            console.print(f"round {number + 1}  {sample[0]:6.2f} Gbit/s  {name}", highlight=False)
    table = summarize(samples)
    show(table, console, HEADINGS, "streams over loopback, medians")
    save(chosen.json, rows=table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
