"""How many packets a second the simulator carries, and how much memory it takes.

    python benchmarks/simulator.py [--seconds 60] [--hour]

Each scenario runs in a process of its own, so that the peak of its memory is its own.  A packet
counts once for every link it crosses; there is one link on a path, so that data and
acknowledgments count once each.  `--hour` also simulates an hour and compares the peak with that
of its first minute.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from libraries import PURE, measured

from plait.sim.run import Simulation
from plait.sim.scenario import FlowSpec, HostSpec, LinkSpec, RouteSpec, Scenario, Shape


def tcp(seconds: float, rate_mbit: float = 100) -> Scenario:
    """One TCP flow over 10 ms."""
    shape = Shape(rate_mbit=rate_mbit, delay_ms=10)
    return Scenario(
        duration_s=seconds,
        hosts={
            "a": HostSpec(addresses={"wire": ("10.0.1.1",)}),
            "b": HostSpec(addresses={"wire": ("10.0.1.2",)}),
        },
        links={"wire": LinkSpec(between=("a", "b"), forth=shape, back=shape)},
        flows={"bulk": FlowSpec(source="a", destination=("b",), settings={"mptcp": False})},
    )


def mptcp(seconds: float) -> Scenario:
    """One Multipath TCP flow over 50 Mbit/s and 10 ms, and 50 Mbit/s and 30 ms."""
    fast = Shape(rate_mbit=50, delay_ms=10)
    slow = Shape(rate_mbit=50, delay_ms=30)
    return Scenario(
        duration_s=seconds,
        hosts={
            "a": HostSpec(addresses={"fast": ("10.0.1.1",), "slow": ("10.0.2.1",)}),
            "b": HostSpec(
                addresses={"fast": ("10.0.1.2",)},
                routes=(RouteSpec(to="10.0.2.1", via=("slow",)),),
            ),
        },
        links={
            "fast": LinkSpec(between=("a", "b"), forth=fast, back=fast),
            "slow": LinkSpec(between=("a", "b"), forth=slow, back=slow),
        },
        flows={"bulk": FlowSpec(source="a", destination=("b",))},
    )


def hour(seconds: float) -> Scenario:
    """One TCP flow over a slower link, for long."""
    return tcp(seconds, rate_mbit=2)


FLOWS: Final[dict[str, Callable[[float], Scenario]]] = {"tcp": tcp, "mptcp": mptcp, "hour": hour}


def simulate(flow: str, seconds: float) -> dict[str, float]:
    """Run one scenario and return what it took and how it went."""
    simulation = Simulation(FLOWS[flow](seconds))
    peak_of_minute = 0

    def watch(part: float) -> None:
        nonlocal peak_of_minute
        if part * seconds <= max(60.0, seconds / 50):
            peak_of_minute = _peak()

    began = time.perf_counter()
    result = simulation.run(progress=watch)
    took = time.perf_counter() - began
    (bulk,) = result["flows"].values()
    return {
        "seconds": took,
        "packets": result["packets"],
        "goodput": bulk["goodput"],
        "peak": _peak(),
        "peak_of_minute": peak_of_minute,
    }


def measure(flow: str, seconds: float, library: Path = PURE) -> dict[str, float]:
    """Run one scenario in a process of its own, with the plait of `library`."""
    return measured(__file__, library, "--flow", flow, "--seconds", str(seconds))


def _peak() -> int:
    """Return the largest resident size so far, in octets."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Measure every scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="simulated time")
    parser.add_argument("--hour", action="store_true", help="simulate an hour as well")
    parser.add_argument("--flow", choices=FLOWS, help="run this one here and print JSON")
    chosen = parser.parse_args()
    if chosen.flow:
        print(json.dumps(simulate(chosen.flow, chosen.seconds)))
        return 0
    work = {"tcp": chosen.seconds, "mptcp": chosen.seconds}
    if chosen.hour:
        work["hour"] = 3600.0
    for flow, seconds in work.items():
        found = measure(flow, seconds)
        took, packets = found["seconds"], found["packets"]
        peak, of_minute = (found[name] / (1 << 20) for name in ("peak", "peak_of_minute"))
        print(
            f"{flow:6} {seconds:6.0f} s simulated in {took:6.1f} s: "
            f"{packets:8} packets, {packets / took:7.0f} packets/s, "
            f"goodput {found['goodput'] / 1e6:.1f} Mbit/s, "
            f"peak {peak:.0f} MiB ({of_minute:.0f} MiB after the first part)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
