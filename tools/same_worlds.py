"""Run the same random worlds interpreted and compiled, and compare what hosts sent and received.

    python tools/same_worlds.py $(python hatch_build.py) --seeds 1-200

A world's digest covers the capture of its initiator, octets and times, the verdict, and that of a
replay with mutations.  Each build runs in a process of its own; exit status 1 if a digest differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import Final

from plait.host import host
from plait.sim.torture.generate import generate
from plait.sim.torture.replay import record, replay
from plait.sim.torture.rig import run_case

SOURCES: Final = Path(__file__).resolve().parent.parent / "src"


def print_digests(seeds: range) -> None:
    """Print what kind of file the core is in, and a line for each seed."""
    print(Path(host.__file__).suffix, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder, "capture.pcap")
        for seed in seeds:
            case = generate(seed)
            verdicts = run_case(case, capture), replay(record(case), seed)
            digest = hashlib.sha256(capture.read_bytes() + repr(verdicts).encode())
            print(seed, digest.hexdigest(), flush=True)


def start(library: Path, seeds: range) -> subprocess.Popen[str]:
    """Start a process that prints the digests of one build."""
    return subprocess.Popen(  # noqa: S603 - this program
        [sys.executable, __file__, str(library), "--seeds", f"{seeds[0]}-{seeds[-1]}", "--print"],
        env=os.environ | {"PYTHONPATH": str(library)},
        stdout=subprocess.PIPE,
        text=True,
    )


def compare(library: Path, seeds: range) -> int:
    """Return how many worlds differ; each build has two processes, with half of the seeds."""
    middle = len(seeds) // 2
    halves = [half for half in (seeds[:middle], seeds[middle:]) if half]
    pairs = [[start(build, half) for build in (SOURCES, library)] for half in halves]
    return sum(differing(*pair) for pair in pairs)


def differing(pure: subprocess.Popen[str], compiled: subprocess.Popen[str]) -> int:
    """Return in how many worlds the processes of two builds differ."""
    one, other = pure.stdout, compiled.stdout
    assert one is not None
    assert other is not None
    kinds = one.readline().strip(), other.readline().strip()
    if kinds != (".py", ".so"):
        raise SystemExit(f"these are not the two builds: {kinds}")
    worlds = found = 0
    for here, there in zip_longest(one, other, fillvalue="nothing\n"):
        worlds += 1
        if here != there:
            found += 1
            print(f"interpreted: {here}compiled:    {there}", end="")
    if any(status != 0 for status in [process.wait() for process in (pure, compiled)]):
        raise SystemExit("one of the builds broke off")
    print(f"{worlds} worlds, {found} differ between interpreted and compiled")
    return found


def main() -> int:
    """Compare two builds, or print the digests of this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path, help="folder of the compiled build")
    parser.add_argument("--seeds", default="1-200", metavar="A-B", help="worlds to run")
    parser.add_argument("--print", action="store_true", help="print the digests of this build")
    chosen = parser.parse_args()
    first, last = map(int, chosen.seeds.split("-"))
    seeds = range(first, last + 1)
    if chosen.print:
        print_digests(seeds)
        return 0
    return 1 if compare(chosen.library, seeds) else 0


if __name__ == "__main__":
    sys.exit(main())
