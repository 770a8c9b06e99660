"""How long a request and its response take: plait's stack beside the kernel's, in one run.

    python benchmarks/latency.py [--rounds 3] [--trips 5000] [--only TEXT] [--json FILE]

One connection, 64 octets each way, the next request when the response is there.  Rows are
interleaved, figures medians of the rounds.  Through TUN one of the two ends is the kernel; plait's
is interpreted and, where that can be, compiled.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from configurations import PORT, Configuration, tun_world, veth_world
from libraries import PURE, MissingError, compiled, environment
from reporting import Row, is_root, options, save, show, turns
from rich.console import Console

from plait.aio.stack import Stack
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.host.settings import Settings
from plait.linux.mptcp_sockets import listen, make_socket
from plait.linux.netns import Namespace
from plait.linux.socket_options import SocketOptions

OCTETS = 64
WARM = 200
"""Round trips that are not counted."""

ROWS = (
    Configuration(name="kernel TCP", source="tcp", sink="tcp"),
    Configuration(name="kernel MPTCP", source="mptcp", sink="mptcp"),
    Configuration(name="plait asks", source="plait", sink="mptcp"),
    Configuration(name="plait answers", source="mptcp", sink="plait"),
)
HEADINGS = ("configuration", "p50 us", "p90 us", "p99 us", "to kernel")
TUN = TunSpec.parse("tun0,local=10.88.0.1,peer=10.88.0.2/24")


class Answering(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self._transport.write(data)


class Asking(asyncio.Protocol):
    """Asks as soon as it was answered; `done` holds the seconds of each round trip."""

    def __init__(self, trips: int) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[list[float]] = loop.create_future()
        self._trips = trips
        self._took: list[float] = []
        self._got = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Note the time of a whole answer, and ask again."""
        self._got += len(data)
        if self._got < OCTETS:
            return
        self._took.append(time.perf_counter() - self._asked)
        self._got = 0
        if len(self._took) < self._trips:
            self._ask()
        else:
            self.done.set_result(self._took)
            self._transport.close()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(bytes(OCTETS))


async def of_plait(side: str, address: str, trips: int) -> list[float]:
    """Run one end on plait's stack."""
    async with Stack([Tun(TUN)], Settings(congestion="cubic")) as stack:
        if side == "ask":
            _, asking = await stack.create_connection(lambda: Asking(trips), address, PORT)
            return await asking.done
        await stack.create_server(Answering, None, PORT)
        print("ready", flush=True)
        await asyncio.Event().wait()
    raise AssertionError


def of_kernel(side: str, address: str, trips: int, kind: str) -> list[float]:
    """Run one end on the kernel's sockets."""
    wanted = SocketOptions(mptcp=kind == "mptcp", congestion="cubic")
    if side == "answer":
        server = listen(None, PORT, wanted)
        server.settimeout(None)
        print("ready", flush=True)
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(OCTETS):
            connection.sendall(data)
        return []
    with make_socket(socket.AF_INET, wanted) as sock:
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((address, PORT))
        took = []
        for _ in range(trips):
            asked = time.perf_counter()
            sock.sendall(bytes(OCTETS))
            got = 0
            while got < OCTETS:
                got += len(sock.recv(OCTETS))
            took.append(time.perf_counter() - asked)
    return took


@dataclass(frozen=True, slots=True)
class Case:
    """One row, and the library that plait is imported from."""

    name: str
    row: Configuration
    library: Path


def cases(console: Console) -> list[Case]:
    """Return what is measured here."""
    libraries = {"": PURE}
    try:
        libraries[", compiled"] = compiled()
    except MissingError as error:
        console.print(f"no compiled rows: {error}", highlight=False)
    return [
        Case(row.name + suffix, row, library)
        for row in ROWS
        for suffix, library in libraries.items()
        if not (row.kernel and suffix)
    ]


def measure(case: Case, trips: int) -> list[float]:
    """Return what round trips took, in microseconds."""
    row = case.row
    world = veth_world if row.kernel else tun_world
    address = "10.88.0.1" if row.sink == "plait" else "10.88.0.2"
    with world(row) as (asking, answering):
        server = _start(answering, case, "answer", address, trips)
        assert server.stdout is not None
        assert server.stdout.readline().strip() == "ready"
        try:
            asked = _start(asking, case, "ask", address, trips + WARM)
            took: list[float] = json.loads(asked.communicate(timeout=120)[0])
        finally:
            server.kill()
            server.communicate()
    return [seconds * 1e6 for seconds in took[WARM:]]


def _start(
    namespace: Namespace, case: Case, side: str, address: str, trips: int
) -> subprocess.Popen[str]:
    kind = case.row.source if side == "ask" else case.row.sink
    words = [sys.executable, str(Path(__file__)), "--end", side, kind, address, str(trips)]
    built = environment(case.library)
    return namespace.run(
        lambda: subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=built)
    )


def summarize(samples: dict[str, list[list[float]]]) -> list[Row]:
    """Return a row for each configuration that was measured."""
    rows: list[Row] = []
    baseline = 0.0
    for name, rounds in samples.items():
        p50, p90, p99 = (
            statistics.median(statistics.quantiles(took, n=100)[cut - 1] for took in rounds)
            for cut in (50, 90, 99)
        )
        if name == "kernel MPTCP":
            baseline = p50
        ratio = round(p50 / baseline, 2) if baseline else None
        shown = (round(figure, 1) for figure in (p50, p90, p99))
        row: Row = {"name": name} | dict(zip(("p50_us", "p90_us", "p99_us"), shown, strict=True))
        rows.append(row | {"ratio_to_kernel": ratio})
    return rows


def main() -> int:
    """Measure, print, write JSON; or be one end."""
    if sys.argv[1:2] == ["--end"]:
        side, kind, address, trips = sys.argv[2:]
        if kind == "plait":
            took = asyncio.run(of_plait(side, address, int(trips)))
        else:
            took = of_kernel(side, address, int(trips), kind)
        print(json.dumps(took))
        return 0
    parser = options(__doc__, rounds=3, what="configuration")
    parser.add_argument("--trips", type=int, default=5000, help="round trips of each run")
    chosen = parser.parse_args()
    if not is_root("latency"):
        return 2
    console = Console()
    samples: dict[str, list[list[float]]] = {}
    for number, case in turns(chosen, cases(console)):
        took = measure(case, chosen.trips)
        samples.setdefault(case.name, []).append(took)
        median = statistics.median(took)
        console.print(f"round {number}  {median:8.1f} us  {case.name}", highlight=False)
    rows = summarize(samples)
    show(rows, console, HEADINGS, "request and response of 64 octets")
    save(chosen.json, rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
