"""What `plait run` costs a program, beside the same program without it.

A probe makes and closes sockets, connects datagram sockets, which the supervisor stops and lets
go, and makes a call that is never stopped; then 8 threads make 500 sockets each.  Rows are
interleaved round by round and figures are medians.  `bare, MPTCP` asks for Multipath TCP itself:
what it costs beyond `bare` is the kernel's.

With root there is a second table, of `--via stack`: what `connect` and `close` cost, and what one
relayed connection carries, beside `plait nc` over the same two networks, which relays nothing.  The
sink is the kernel's, in the same namespace; goodput is measured there.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from reporting import Row, is_root, options, save, show
from rich.console import Console

from plait.linux.mptcp_sockets import listen
from plait.linux.netns import Namespace
from plait.linux.socket_options import SocketOptions

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

CONNECTIONS: Final = 200
OCTETS: Final = 400_000_000
PORT: Final = 5001
PATIENCE: Final = 60
NETWORKS: Final = [
    word
    for path in (1, 2)
    for word in ("--tun", f"t{path},local=10.9.{path}.1,peer=10.9.{path}.2/24")
]
STACK: Final = "plait run --via stack"
NC: Final = "plait nc"
SENDERS: Final = {"TCP over loopback": "127.0.0.1", STACK: "10.9.1.2", NC: "10.9.1.2"}
"""Where each of them finds the sink."""

CARRYING: Final = ("who", "connect+close us", "Gbit/s", "Gbit/s from, to")

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


def send(address: str) -> dict[str, float]:
    """Connect often, then carry much, from inside the program."""
    block = memoryview(bytes(1 << 20))

    def connect() -> None:
        socket.create_connection((address, PORT)).close()

    figures = {"connect_us": each_us(connect, CONNECTIONS)}
    with socket.create_connection((address, PORT)) as sock:
        left = OCTETS
        while left > 0:
            left -= sock.send(block[:left])
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
    return figures


def take_all(listener: socket.socket, took: queue.Queue[float]) -> None:
    """Take what comes; report the seconds from the first octet to the last."""
    room = bytearray(1 << 20)
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        octets, begun = 0, 0.0
        with peer:
            while count := peer.recv_into(room):
                begun = begun or time.perf_counter()
                octets += count
            if octets:
                took.put(time.perf_counter() - begun)


def carry(name: str) -> dict[str, float]:
    """Return the figures of one sender; `plait nc` connects only once."""
    address, took = SENDERS[name], queue.Queue[float]()
    plait = [sys.executable, "-m", "plait.cli"]
    if name == NC:
        lines = f"head -c {OCTETS} /dev/zero | {' '.join([*plait, 'nc', *NETWORKS])}"
        line = ["sh", "-c", f"{lines} {address} {PORT}"]
    else:
        before = [*plait, "run", "--via", "stack", *NETWORKS, "--"] if name == STACK else []
        line = [*before, sys.executable, __file__, "--send", address]
    with Namespace() as namespace:
        namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
        options = SocketOptions(mptcp=True)
        with namespace.run(lambda: listen(None, PORT, options)) as listener:
            threading.Thread(target=take_all, args=(listener, took)).start()
            try:
                done = namespace.run(
                    lambda: subprocess.run(
                        line, check=True, capture_output=True, text=True, timeout=PATIENCE
                    )
                )
                found: dict[str, float] = {} if name == NC else json.loads(done.stdout)
                found["gbit_per_s"] = OCTETS * 8 / took.get(timeout=PATIENCE) / 1e9
            finally:
                listener.shutdown(socket.SHUT_RDWR)
    return found


def summarize_carried(samples: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Return the rows of the second table."""
    rows: list[Row] = []
    for name, runs in samples.items():
        goodputs = [run["gbit_per_s"] for run in runs]
        rows.append(
            {
                "name": name,
                "connect_us": None if name == NC else _median(runs, "connect_us", 0),
                "gbit_per_s": _median(runs, "gbit_per_s", 2),
                "spread": f"{min(goodputs):.2f} to {max(goodputs):.2f}",
            }
        )
    return rows


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=7, what="row")
    parser.add_argument("--probe", type=int, help="be the program (used by itself)")
    parser.add_argument("--send", help="be the program that sends (used by itself)")
    chosen = parser.parse_args()
    if chosen.probe is not None:
        print(json.dumps(probe(chosen.probe)))
        return 0
    if chosen.send is not None:
        print(json.dumps(send(chosen.send)))
        return 0
    console = Console(width=140)
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in ROWS if chosen.only in name}
    names = [name for name in SENDERS if chosen.only in name] if is_root("supervisor") else []
    carried: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(chosen.rounds):
        for name, runs in samples.items():
            before, protocol = ROWS[name]
            runs.append({**measure(before, protocol), "starts_ms": starting_ms(before)})
        for name, runs in carried.items():
            runs.append(carry(name))
    table, second = summarize(samples), summarize_carried(carried)
    headings = ("who", "starts ms", *FIGURES.values(), "sockets from, to us")
    show(table, console, headings, "the supervisor's cost, medians")
    show(second, console, CARRYING, "over the stack, medians")
    save(chosen.json, rows=table, carried=second)
    return 0


if __name__ == "__main__":
    sys.exit(main())
