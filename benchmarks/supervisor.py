"""What `plait run` costs a program, beside the same program without it.

A probe makes and closes sockets, connects datagram sockets, which the supervisor stops and lets
go, and makes a call that is never stopped; then 8 threads make 500 sockets each.  Rows are
interleaved round by round and figures are medians.  `bare, MPTCP` asks for Multipath TCP itself:
what it costs beyond `bare` is the kernel's.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from reporting import Row, options, save, show
from rich.console import Console

SOCKETS: Final = 3000
THREADS: Final = 8
EACH: Final = 500

MPTCP: Final = 262
RUN: Final = [sys.executable, "-m", "plait.cli", "run", "--via", "kernel"]
ROWS: Final = {
    "bare": ([], 0),
    "bare, MPTCP": ([], MPTCP),
    "plait run": ([*RUN, "--"], 0),
    "plait run --except (stops connect)": ([*RUN, "--except", "*:1", "--"], 0),
    "plait run --only (stops connect alone)": ([*RUN, "--only", "*:1", "--"], 0),
    "plait run --explain": ([*RUN, "--explain", "--"], 0),
}
"""What comes before the probe, and the protocol it asks for."""

FIGURES: Final = {
    "socket_us": "socket+close us",
    "connect_us": "connect (UDP) us",
    "other_us": "getppid us",
    "threads_s": "8 x 500 sockets s",
}


def each_us(work: Callable[[], object], count: int = SOCKETS) -> float:
    """Return what a call costs, in microseconds."""
    begun = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - begun) / count * 1e6


def probe(protocol: int) -> dict[str, float]:
    """Measure from inside the program."""

    def make() -> None:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol).close()

    def make_many() -> None:
        for _ in range(EACH):
            make()

    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        figures = {
            "socket_us": each_us(make),
            "connect_us": each_us(lambda: udp.connect(("127.0.0.1", 9))),
            "other_us": each_us(os.getppid, 10 * SOCKETS),
        }
    threads = [threading.Thread(target=make_many) for _ in range(THREADS)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {**figures, "threads_s": time.perf_counter() - begun}


def measure(before: list[str], protocol: int) -> dict[str, float]:
    """Return the figures of one run, and how long it took to start."""
    line = [*before, sys.executable, __file__, "--probe", str(protocol)]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def starting_ms(before: list[str]) -> float:
    """Return how long a command that does nothing takes."""
    return each_us(lambda: subprocess.run([*before, "true"], check=True), 1) / 1000


def summarize(samples: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Return the rows of the table."""
    rows: list[Row] = []
    for name, runs in samples.items():
        sockets = [run["socket_us"] for run in runs]
        row: Row = {"name": name, "starts_ms": _median(runs, "starts_ms", 0)}
        for figure in FIGURES:
            row[figure] = _median(runs, figure, 2)
        row["spread"] = f"{min(sockets):.1f} to {max(sockets):.1f}"
        rows.append(row)
    return rows


def _median(runs: list[dict[str, float]], figure: str, digits: int) -> float:
    return round(statistics.median(run[figure] for run in runs), digits)


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=7, what="row")
    parser.add_argument("--probe", type=int, help="be the program (used by itself)")
    chosen = parser.parse_args()
    if chosen.probe is not None:
        print(json.dumps(probe(chosen.probe)))
        return 0
    console = Console(width=140)
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in ROWS if chosen.only in name}
    for _ in range(chosen.rounds):
        for name, runs in samples.items():
            before, protocol = ROWS[name]
            runs.append({**measure(before, protocol), "starts_ms": starting_ms(before)})
    table = summarize(samples)
    headings = ("who", "starts ms", *FIGURES.values(), "sockets from, to us")
    show(table, console, headings, "the supervisor's cost, medians")
    save(chosen.json, rows=table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
