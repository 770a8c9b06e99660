"""Run the same random worlds interpreted and compiled, and compare what hosts sent and received.

    python tools/same_worlds.py                      # seeds 1-200
    python tools/same_worlds.py --seeds 1-2000

A world's digest covers the capture of its initiator, octets and times, and the verdict.  Each build
runs in a process of its own; exit status 1 if a digest differs.
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

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "src"


def print_digests(first: int, last: int) -> None:
    """Print whether the core is compiled, and a line for each seed."""
    from plait.host import host
    from plait.sim.torture.generate import generate
    from plait.sim.torture.rig import run_case

    print(Path(host.__file__).suffix)
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder, "capture.pcap")
        for seed in range(first, last + 1):
            verdict = run_case(generate(seed), capture)
            digest = hashlib.sha256(capture.read_bytes() + repr(verdict).encode())
            print(seed, digest.hexdigest(), flush=True)


def start(library: Path, seeds: str) -> subprocess.Popen[str]:
    """Start a process that prints the digests of one build."""
    return subprocess.Popen(
        [sys.executable, __file__, "--print", "--seeds", seeds],
        env=os.environ | {"PYTHONPATH": str(library), "PYTHONHASHSEED": "random"},
        stdout=subprocess.PIPE,
        text=True,
    )


def compare(seeds: str) -> int:
    """Return how many worlds differ."""
    sys.path.insert(0, str(ROOT))
    from hatch_build import compiled

    processes = [start(library, seeds) for library in (SOURCES, compiled(ROOT))]
    interpreted, other = (process.stdout for process in processes)
    assert interpreted is not None
    assert other is not None
    kinds = interpreted.readline().strip(), other.readline().strip()
    if kinds != (".py", ".so"):
        raise SystemExit(f"these are no two builds: {kinds}")
    worlds = differing = 0
    for one, two in zip_longest(interpreted, other):
        worlds += 1
        if one != two:
            differing += 1
            print(f"interpreted {one}compiled    {two}", end="")
    if any([process.wait() for process in processes]):
        raise SystemExit("a build broke off")
    print(f"{worlds} worlds, {differing} differ between the builds")
    return differing


def main() -> int:
    """Compare two builds, or print the digests of this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1-200", metavar="A-B", help="the worlds to run")
    parser.add_argument("--print", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.print:
        first, last = map(int, chosen.seeds.split("-"))
        print_digests(first, last)
        return 0
    return 1 if compare(chosen.seeds) else 0


if __name__ == "__main__":
    sys.exit(main())
