"""Run the experiments, print their tables and write `docs/experiments.md`.

A run of everything with five seeds takes some ten minutes on two cores.  All times in the tables
are simulated ones, so the same version gives the same file on any machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from experiments import completion, delay, fattree, goodput, handover, harm
from experiments.page import page, section
from experiments.study import Samples, Study, collect, simulate

STUDIES: Final = (
    goodput.STUDY,
    handover.STUDY,
    completion.STUDY,
    delay.STUDY,
    fattree.STUDY,
    harm.STUDY,
)
PAGE: Final = Path(__file__).parents[1] / "docs" / "experiments.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is simulated."""

    seeds: int
    quick: bool
    jobs: int


def measure(study: Study, effort: Effort, pool: ProcessPoolExecutor) -> Samples:
    """Run all cases of a study with every seed, in whatever order the pool has room."""
    seeds = range(1, effort.seeds + 1)
    cases = {seed: study.cases(seed, effort.quick) for seed in seeds}
    flat = [(case, seed) for seed, those in cases.items() for case in those]
    measured = pool.map(simulate, *zip(*flat, strict=True))
    samples: Samples = {}
    for those in cases.values():
        collect(those, [next(measured) for _ in those], samples)
    return samples


def run_all(
    studies: list[Study], effort: Effort, console: Console
) -> Iterator[tuple[Study, Samples]]:
    """Measure one study after the other, and tell of each."""
    with ProcessPoolExecutor(effort.jobs, multiprocessing.get_context("spawn")) as pool:
        for study in studies:
            began = time.monotonic()
            samples = measure(study, effort, pool)
            count = len(study.cases(1, effort.quick)) * effort.seeds
            took = time.monotonic() - began
            console.print(f"{study.name}: {count} runs in {took:.0f} s", style="bold")
            console.print(section(study, samples), markup=False, soft_wrap=True)
            yield study, samples


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="experiments", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="one experiment; writes no page")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each case, 5 by default")
    parser.add_argument("--quick", action="store_true", help="one seed, shorter; writes no page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values")
    parser.add_argument("--jobs", type=int, default=2, help="processes, 2 by default")
    chosen = parser.parse_args()
    studies = [one for one in STUDIES if chosen.only in {None, one.name}]
    if not studies or min(chosen.seeds, chosen.jobs) < 1:
        names = ", ".join(one.name for one in STUDIES)
        parser.error(f"choose from {names}, with a seed and a process at least")
    seeds = 1 if chosen.quick else chosen.seeds
    effort = Effort(seeds=seeds, quick=chosen.quick, jobs=chosen.jobs)
    console = Console(highlight=False)
    done = list(run_all(studies, effort, console))
    if chosen.json is not None:
        values = {study.name: samples for study, samples in done}
        chosen.json.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    if not chosen.quick and chosen.only is None:
        PAGE.write_text(page(done, effort.seeds), encoding="utf-8")
        console.print(f"{PAGE.name} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
