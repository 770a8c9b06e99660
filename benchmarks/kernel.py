"""`make bench-all`: plait's stack beside the kernel's in every configuration, in one run.

Configurations are interleaved round by round, figures are medians, and every row gives its ratio to
the kernel's Multipath TCP with as many subflows in the same run.  cubic everywhere.
"""

from __future__ import annotations

import statistics
import sys

from configurations import CONFIGURATIONS, Configuration, Sample, can_run, measure
from reporting import Row, is_root, machine, options, python, save, show, turns
from rich.console import Console


def baseline_of(configuration: Configuration) -> str:
    """Return the name of the kernel's row to compare with."""
    if not configuration.offload:
        return "kernel MPTCP, MTU 1500"
    if configuration.paths == 2:
        suffix = ", checksum" if configuration.checksum else ""
        return f"kernel MPTCP, 2 subflows{suffix}"
    return "kernel MPTCP, 1 subflow"


HEADINGS = ("configuration", "Gbit/s", "lowest", "highest", "to kernel", "CPU s/GB", "peak MB")


def summarize(samples: dict[str, list[Sample]]) -> list[Row]:
    """Return a row for each configuration that was measured."""
    medians = {name: statistics.median(s.gbit for s in runs) for name, runs in samples.items()}
    rows: list[Row] = []
    for configuration in CONFIGURATIONS:
        runs = samples.get(configuration.name)
        if not runs:
            continue
        baseline = medians.get(baseline_of(configuration))
        gbit = medians[configuration.name]
        rows.append(
            {
                "name": configuration.name,
                "gbit_per_s": round(gbit, 3),
                "lowest": round(min(s.gbit for s in runs), 3),
                "highest": round(max(s.gbit for s in runs), 3),
                "ratio_to_kernel": round(gbit / baseline, 3) if baseline else None,
                "cpu_s_per_gb": round(statistics.median(s.cpu_per_gb for s in runs), 3),
                "peak_mb": round(max(s.peak for s in runs), 1),
            }
        )
    return rows


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=3, what="configuration")
    parser.add_argument("--seconds", type=float, default=3, help="length of each run")
    chosen = parser.parse_args()
    if not is_root("kernel"):
        return 2
    console = Console()
    console.print(machine())
    samples: dict[str, list[Sample]] = {}
    for number, configuration in turns(chosen, CONFIGURATIONS):
        reason = can_run(configuration)
        if reason is not None:
            console.print(f"{configuration.name}: left out, {reason}", highlight=False)
            continue
        sample = measure(configuration, chosen.seconds)
        samples.setdefault(configuration.name, []).append(sample)
        console.print(
            f"round {number}  {sample.gbit:7.2f} Gbit/s  {configuration.name}", highlight=False
        )
    rows = summarize(samples)
    show(rows, console, HEADINGS, "goodput, medians")
    save(chosen.json, python=python(), rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
