"""What an idle connection costs, and how many a second can be set up and torn down.

Two hosts in one process hand each other their segments in virtual time.  Memory is what Python's
allocator hands out for one host's end of each connection: half of what both ends take.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tracemalloc
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from plait.host.events import Accepted, Readable
from plait.host.host import Host
from plait.host.settings import Settings
from plait.units import MICROSECOND, Nanos

NEAR: Final = ip_address("10.0.0.1")
FAR: Final = ip_address("10.0.0.2")
PORT: Final = 80
ROUND: Final = 200 * MICROSECOND


@dataclass
class Pair:
    """Two hosts back to back."""

    near: Host
    far: Host
    now: Nanos = 0

    def settle(self) -> None:
        """Exchange segments until neither host has any."""
        while True:
            self.now += ROUND
            sent = self.near.transmit(self.now, 1 << 10)
            self.far.receive(self.now, sent)
            answers = self.far.transmit(self.now, 1 << 10)
            self.near.receive(self.now, answers)
            if not sent and not answers:
                return


def make_pair(settings: Settings) -> Pair:
    """Return two hosts, the far one listening."""
    pair = Pair(Host(settings, b"near".ljust(32)), Host(settings, b"far".ljust(32)))
    pair.near.on_local_address(0, NEAR, present=True)
    pair.far.on_local_address(0, FAR, present=True)
    pair.far.listen(0, PORT)
    return pair


def open_many(pair: Pair, count: int) -> tuple[list[int], list[int]]:
    """Open connections, send an octet on each, and return the ids at both ends."""
    near: list[int] = []
    far: list[int] = []
    for _ in range(count):
        near.append(pair.near.connect(pair.now, FAR, PORT))
        pair.settle()
        pair.near.write(pair.now, near[-1], b"x")
        pair.settle()
        for event in pair.far.take_events():
            if isinstance(event, Accepted):
                far.append(event.connection_id)
            elif isinstance(event, Readable):
                pair.far.read(pair.now, event.connection_id, 1)
        pair.near.take_events()
    return near, far


def close_many(pair: Pair, near: list[int], far: list[int]) -> None:
    """Close connections, the near end first."""
    for here, there in zip(near, far, strict=True):
        pair.near.release(pair.now, here)
        pair.settle()
        pair.far.release(pair.now, there)
        pair.settle()
    pair.near.take_events()
    pair.far.take_events()


def traced() -> int:
    """Return the octets that are allocated now."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def memory_of(settings: Settings, count: int) -> tuple[float, float]:
    """Return the octets of one idle connection, and of one in TIME-WAIT."""
    pair = make_pair(settings)
    open_many(pair, 10)  # what is made once is not counted
    tracemalloc.start()
    before = traced()
    near, far = open_many(pair, count)
    idle = traced() - before
    close_many(pair, near, far)
    del near, far
    left = traced() - before
    tracemalloc.stop()
    return idle / count / 2, left / count


def rates_of(settings: Settings, count: int) -> tuple[float, float]:
    """Return how many connections a second are set up, and torn down, both ends counted once."""
    pair = make_pair(settings)
    began = time.perf_counter()
    near, far = open_many(pair, count)
    opened = time.perf_counter()
    close_many(pair, near, far)
    closed = time.perf_counter()
    return count / (opened - began), count / (closed - opened)


def cookie_rate(settings: Settings, count: int) -> float:
    """Return how many SYNs a second a flooded listener answers with cookies."""
    pair = make_pair(replace(settings, syn_cookies="always"))
    syns = []
    for _ in range(200):
        pair.near.connect(0, FAR, PORT)
    syns = pair.near.transmit(0, 1 << 10)
    began = time.perf_counter()
    for _ in range(count // len(syns)):
        pair.far.receive(0, syns)
        pair.far.transmit(0, 1 << 10)
    return count / (time.perf_counter() - began)


def main() -> int:
    """Measure plain and Multipath TCP."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="connections")
    count = parser.parse_args().count
    for mptcp in (True, False):
        settings = Settings(mptcp=mptcp)
        name = "Multipath TCP" if mptcp else "TCP"
        idle, waiting = memory_of(settings, count)
        up, down = rates_of(settings, count)
        syns = cookie_rate(settings, 10 * count)
        print(
            f"{name:13} {idle:6.0f} octets idle, {waiting:5.0f} in TIME-WAIT; "
            f"{up:5.0f} set up/s, {down:5.0f} torn down/s, {syns:6.0f} SYN cookies/s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
