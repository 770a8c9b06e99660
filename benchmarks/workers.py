"""What a second process adds: `plait perf server --workers`, with the kernel's clients.

    python benchmarks/workers.py [--rounds 5] [--seconds 3]            # as root

Set-ups are connections that carry one octet and its answer, one after the other in each client;
throughput is that of long streams.  Clients and server share the machine: on two cores the second
process of the server takes its time from them.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median
from typing import Final

from plait.cli.perf_protocol import MESSAGE, Request, parse_result
from plait.linux.netns import Namespace

IPPROTO_MPTCP: Final = 262
SERVER: Final = ("10.9.1.1", 5001)
TUN: Final = "t1,local=10.9.1.1,peer=10.9.1.2/24"
CLIENTS: Final = 4
BLOCK: Final = bytes(1 << 20)
PATIENCE: Final = 30.0


def call(octets: int) -> None:
    """Send octets and check that the server counted them."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as opened:
        opened.settimeout(PATIENCE)
        opened.connect(SERVER)
        opened.sendall(Request(reverse=False, octets=octets).serialize())
        left = octets
        while left:
            left -= opened.send(BLOCK[:left])
        opened.shutdown(socket.SHUT_WR)
        if parse_result(opened.recv(MESSAGE, socket.MSG_WAITALL)) != octets:
            raise RuntimeError("octets are missing")


def calls(namespace: Namespace, octets: int, seconds: float) -> int:
    """Call again and again and return how often."""

    def work() -> int:
        done, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            call(octets)
            done += 1
        return done

    return namespace.run(work)


def measure(workers: int, octets: int, seconds: float) -> float:
    """Return the calls a second that all clients made together."""
    with Namespace() as namespace:
        words = [sys.executable, "-m", "plait.cli", "perf", "server", str(SERVER[1])]
        words += ["--tun", TUN, "--workers", str(workers)]
        start = partial(
            subprocess.Popen, words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        server = namespace.run(start)
        try:
            time.sleep(3)
            with ProcessPoolExecutor(CLIENTS) as clients:
                work = [clients.submit(calls, namespace, octets, seconds) for _ in range(CLIENTS)]
                return sum(one.result() for one in work) / seconds
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate()


KINDS: Final[dict[str, tuple[int, Callable[[float], str]]]] = {
    "set-ups/s": (1, lambda rate: f"{rate:.0f}"),
    "Gbit/s": (100_000_000, lambda rate: f"{rate * 0.8:.2f}"),
}
"""By what is measured: the octets of a call, and how calls a second are shown."""


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    print("| | 1 process | 2 processes | ratio |\n|---|---|---|---|")
    for kind, (octets, show) in KINDS.items():
        runs: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(chosen.rounds):
            for workers, found in runs.items():
                found.append(measure(workers, octets, chosen.seconds))
        cells = [
            f"{show(median(one))} ({show(min(one))} to {show(max(one))})" for one in runs.values()
        ]
        ratio = median(runs[2]) / median(runs[1])
        print(f"| {kind} | {' | '.join(cells)} | {ratio:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
