"""What many connections cost: memory, set-up, packets and timers by their number, and fairness.

    python benchmarks/connections.py [--count 10000] [--subflows 2] [--builds]

Two hosts in one process hand each other their segments in virtual time.  Rates are of processor
time, so that a busy machine disturbs them less; `--builds` measures a compiled core as well, each
build in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import time
import tracemalloc
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from libraries import PURE, compiled, measured

from plait.addresses import IpAddress
from plait.host.events import Accepted, Readable
from plait.host.host import Host
from plait.host.settings import Settings
from plait.sim.run import Simulation
from plait.sim.scenario import FlowSpec, HostSpec, LinkSpec, Scenario, Shape, WindowSpec
from plait.units import MICROSECOND, SECOND, Nanos
from plait.wire.crypto import Entropy

NEAR: Final = tuple(ip_address(f"10.0.{number}.1") for number in range(1, 9))
FAR: Final = ip_address("10.0.0.2")
PORT: Final = 80
ROUND: Final = 200 * MICROSECOND
TRACED: Final = 1000
"""Connections at most whose memory is traced, which takes its time."""

SIZES: Final = (100, 1_000, 10_000)
SAMPLES: Final = 2_000
FLOWS: Final = 100
FLOW_SECONDS: Final = 30.0


@dataclass
class Pair:
    """Two hosts back to back, and the processor time that each took, in seconds."""

    near: Host
    far: Host
    now: Nanos = 0
    near_took: float = 0.0
    far_took: float = 0.0

    def settle(self) -> None:
        """Exchange segments until neither host has any."""
        while True:
            self.now += ROUND
            began = time.thread_time()
            sent = self.near.transmit(self.now, 1 << 10)
            turned = time.thread_time()
            self.far.receive(self.now, sent)
            answers = self.far.transmit(self.now, 1 << 10)
            self.far.next_timeout()
            ended = time.thread_time()
            self.near.receive(self.now, answers)
            self.far_took += ended - turned
            self.near_took += turned - began + time.thread_time() - ended
            if not sent and not answers:
                return


def make_pair(settings: Settings, subflows: int = 1) -> Pair:
    """Return two hosts, the far one listening; the near one joins from its other addresses."""
    pair = Pair(Host(settings, b"near".ljust(32)), Host(settings, b"far".ljust(32)))
    for address in NEAR[:subflows]:
        pair.near.on_local_address(0, address, present=True)
    pair.far.on_local_address(0, FAR, present=True)
    pair.far.listen(0, PORT)
    return pair


def open_many(pair: Pair, count: int, local: IpAddress = NEAR[0]) -> tuple[list[int], list[int]]:
    """Open connections, send an octet on each, and return the ids at both ends."""
    near: list[int] = []
    far: list[int] = []
    for _ in range(count):
        near.append(pair.near.connect(pair.now, FAR, PORT, local=local))
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
    pair.near.take_events()  # what the last ones told of is done with
    pair.far.take_events()


def traced() -> int:
    """Return the octets that are allocated now."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def memory_of(settings: Settings, count: int, subflows: int) -> tuple[float, float]:
    """Return the octets of one idle connection, and of one in TIME-WAIT, as Python allots them."""
    pair = make_pair(settings, subflows)
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


def resident() -> int:
    """Return the octets of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def set_up_rates(settings: Settings, count: int) -> tuple[float, float]:
    """Return the handshakes a second of the listening host alone, and of both ends.

    From the SYN to `Accepted`; no data.
    """
    pair = make_pair(settings)
    for _ in range(count):
        began = time.thread_time()
        pair.near.connect(pair.now, FAR, PORT)
        pair.near_took += time.thread_time() - began
        pair.settle()
        began = time.thread_time()
        if not pair.far.take_events():
            raise RuntimeError("a handshake failed")
        pair.far_took += time.thread_time() - began
        pair.near.take_events()
    return count / pair.far_took, count / (pair.far_took + pair.near_took)


def tear_down_rate(settings: Settings, count: int) -> float:
    """Return how many connections a second both ends together close."""
    pair = make_pair(settings)
    near, far = open_many(pair, count)
    began = time.thread_time()
    close_many(pair, near, far)
    return count / (time.thread_time() - began)


def cookie_rate(settings: Settings, count: int) -> float:
    """Return how many SYNs a second a flooded listener answers with cookies."""
    pair = make_pair(replace(settings, syn_cookies="always"))
    for _ in range(200):
        pair.near.connect(0, FAR, PORT)
    syns = pair.near.transmit(0, 1 << 10)
    began = time.thread_time()
    for _ in range(count // len(syns)):
        pair.far.receive(0, syns)
        pair.far.transmit(0, 1 << 10)
    return count / (time.thread_time() - began)


def packet_cost(pair: Pair, near: list[int]) -> float:
    """Return the microseconds in which the far host takes an octet for any one connection."""
    entropy = Entropy(b"which")
    chosen = [near[entropy.below(len(near))] for _ in range(SAMPLES)]
    took = 0.0
    for connection_id in chosen:
        pair.near.write(pair.now, connection_id, b"x")
        sent = pair.near.transmit(pair.now)
        began = time.thread_time()
        pair.far.receive(pair.now, sent)
        answers = pair.far.transmit(pair.now)
        pair.far.next_timeout()
        took += time.thread_time() - began
        pair.near.receive(pair.now, answers)
        pair.settle()
        for event in pair.far.take_events():
            if isinstance(event, Readable):
                pair.far.read(pair.now, event.connection_id, 1)
    return took / len(chosen) * 1e6


def timer_cost(pair: Pair) -> float:
    """Return the microseconds in which the near host does what one of many timers calls for.

    All connections are asked whether they are alive at moments of their own.
    """
    pair.near.handle_timeout(pair.now)  # what came due while they were opened
    pair.settle()
    took = 0.0
    for _ in range(SAMPLES):
        began = time.thread_time()
        at = pair.near.next_timeout()
        if at is None:
            raise RuntimeError("no timer runs")
        pair.now = max(pair.now, at)
        pair.near.handle_timeout(pair.now)
        sent = pair.near.transmit(pair.now)
        took += time.thread_time() - began
        pair.far.receive(pair.now, sent)
        pair.near.receive(pair.now, pair.far.transmit(pair.now))
    return took / SAMPLES * 1e6


def scale(size: int, subflows: int) -> dict[str, float]:
    """Return what a packet and a timer cost among so many connections, and the memory they take."""
    pair = make_pair(Settings(keepalive=True, keepalive_idle=60 * SECOND), subflows)
    gc.collect()
    before = resident()
    near, _ = open_many(pair, size)
    gc.collect()
    held = (resident() - before) / size / 2
    flows = len(pair.near.info(near[0]).subflows)
    return {
        "subflows": flows,
        "resident": held,
        "packet us": packet_cost(pair, near),
        "timer us": timer_cost(pair),
    }


def fairness(flows: int = FLOWS, seconds: float = FLOW_SECONDS) -> float:
    """Return Jain's index of what connections of one host deliver over one path, its second half.

    100 Mbit/s, 20 ms of round trip and a queue of 100 ms; all begin within a second.
    """
    shape = Shape(rate_mbit=100, delay_ms=10, queue_ms=100)
    scenario = Scenario(
        duration_s=seconds,
        hosts={
            "near": HostSpec(addresses={"path": ("10.0.1.1",)}),
            "far": HostSpec(addresses={"path": ("10.0.1.2",)}),
        },
        links={"path": LinkSpec(between=("near", "far"), forth=shape, back=shape)},
        flows={
            f"flow{number}": FlowSpec(source="near", destination=("far",), start_s=number / flows)
            for number in range(flows)
        },
        windows={"later": WindowSpec(start_s=seconds / 2, stop_s=seconds)},
    )
    found = Simulation(scenario, seed=1).run()["windows"]["later"]["flows"]
    shares = [float(flow["delivered"]) for flow in found.values()]
    return sum(shares) ** 2 / len(shares) / sum(share**2 for share in shares)


def work(count: int, subflows: int) -> dict[str, float]:
    """Return the figures of this build."""
    found: dict[str, float] = {}
    for mptcp in (True, False):
        settings = Settings(mptcp=mptcp)
        name = "Multipath TCP" if mptcp else "TCP"
        for paths in sorted({1, subflows}) if mptcp else (1,):
            idle, waiting = memory_of(settings, min(count, TRACED), paths)
            found[f"{name}, {paths} subflows: octets idle"] = idle
            found[f"{name}, {paths} subflows: octets in TIME-WAIT"] = waiting
        one, both = set_up_rates(settings, min(count, 4000))
        found[f"{name}: handshakes/s, the listening host"] = one
        gc.disable()
        found[f"{name}: the same without garbage collection"] = set_up_rates(
            settings, min(count, 4000)
        )[0]
        gc.enable()
        found[f"{name}: handshakes/s, both ends"] = both
        found[f"{name}: torn down/s, both ends"] = tear_down_rate(settings, min(count, 2000))
        found[f"{name}: SYN cookies/s"] = cookie_rate(settings, 10 * min(count, 2000))
    for size in (size for size in SIZES if size <= count):
        for name, figure in scale(size, subflows).items():
            found[f"{size} connections: {name}"] = figure
    found[f"Jain's index of {FLOWS} connections"] = fairness()
    return found


def main() -> int:
    """Print a table, a column for each build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="connections at most")
    parser.add_argument("--subflows", type=int, default=2, choices=range(1, 9))
    parser.add_argument("--builds", action="store_true", help="measure a compiled core too")
    parser.add_argument("--work", action="store_true", help="measure this build, as JSON")
    chosen = parser.parse_args()
    if chosen.work:
        print(json.dumps(work(chosen.count, chosen.subflows)))
        return 0
    builds = {"interpreted": PURE}
    if chosen.builds:
        builds["compiled"] = compiled()
    arguments = ("--work", "--count", str(chosen.count), "--subflows", str(chosen.subflows))
    runs = [measured(__file__, library, *arguments) for library in builds.values()]
    print(f"| | {' | '.join(builds)} |\n|---|{'---|' * len(builds)}")
    for name, figure in runs[0].items():
        digits = 3 if figure < 10 else 1 if figure < 1000 else 0
        print(f"| {name} | {' | '.join(f'{run[name]:,.{digits}f}' for run in runs)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
