"""What a compiled core saves: the same work interpreted and compiled, in turns.

    PYTHONPATH=tests python benchmarks/builds.py [--rounds 5] [--json FILE]

Two hosts in one process hand segments to each other, and the simulator carries a flow.  Figures are
processor time, so that a busy machine disturbs them less; each run is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

from libraries import PURE, compiled, measured
from simulator import mptcp, tcp
from support.bytecodes import WORLDS, Stream

from plait.sim.run import Simulation

WARM: Final = 4_000_000
"""Octets before the clock starts."""

OCTETS: Final = {65_535: 200_000_000, 1_500: 12_000_000}
SIMULATED_SECONDS: Final = 8.0


def work() -> dict[str, float]:
    """Return the microseconds of each kind of work in this build."""
    found: dict[str, float] = {}
    for name, (mtu, paths) in WORLDS.items():
        stream = Stream(mtu, paths)
        stream.carry(WARM)
        before, began = stream.received, time.process_time()
        stream.carry(WARM + OCTETS[mtu])
        unit = 64_000 if mtu > 1 << 15 else 1_428
        found[name] = (time.process_time() - began) / (stream.received - before) * unit * 1e6
    for make in (tcp, mptcp):
        simulation = Simulation(make(SIMULATED_SECONDS))
        began = time.process_time()
        packets = simulation.run()["packets"]
        found[f"simulated packet, {make.__name__}"] = (time.process_time() - began) / packets * 1e6
    return found


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--work", action="store_true", help="measure this build")
    chosen = parser.parse_args()
    if chosen.work:
        print(json.dumps(work()))
        return 0
    builds = {"interpreted": PURE, "compiled": compiled()}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in builds}
    for _ in range(chosen.rounds):
        for name, library in builds.items():
            runs[name].append(measured(__file__, library, "--work"))
    if chosen.json:
        chosen.json.write_text(json.dumps(runs, indent=1), encoding="utf-8")
    print("| work | interpreted us | compiled us | times faster |\n|---|---|---|---|")
    for kind in runs["interpreted"][0]:
        slow, fast = ([run[kind] for run in runs[name]] for name in builds)
        shown = [f"{median(one):.1f} ({min(one):.1f} to {max(one):.1f})" for one in (slow, fast)]
        print(f"| {kind} | {' | '.join(shown)} | {median(slow) / median(fast):.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
