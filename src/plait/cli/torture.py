"""`plait torture`: random worlds from seeds; whatever breaks is shrunk and left as a capture."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from plait.cli.running import Command
from plait.errors import UsageError
from plait.sim.torture.generate import generate
from plait.sim.torture.replay import record, replay
from plait.sim.torture.rig import Verdict, run_case
from plait.sim.torture.shrink import shrink

_REPLAYS: Final = 2
"""Mutated replays of each case."""

_CHUNK: Final = 4

_EXAMPLES: Final = """\b
Examples:
  plait torture --seeds 1-5000 --jobs 2
  plait torture --seeds 84-84 --without 0,2

Exit status: 0 all seeds passed, 1 one failed, 2 the options make no sense.
"""


@click.command("torture", cls=Command, epilog=_EXAMPLES)
@click.option("--seeds", default="1-200", show_default=True, metavar="A-B", help="Seeds to run.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--without", default="", metavar="N,N", help="Leave out these faults of every seed, from 0."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("torture"),
    show_default=True,
    metavar="DIR",
    help="Where captures and reports of failures go.",
)
@click.option("--list", "listing", is_flag=True, help="Show the faults of the seeds, run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print all verdicts as JSON.")
def command(seeds: str, jobs: int, without: str, out: Path, *, listing: bool, as_json: bool) -> int:
    """Run the real stack in random worlds and check what must hold in every one.

    Each seed makes a topology with impairments, middleboxes, address changes, applications and
    settings, and replays mutated segments of it to a host alone.  A failing seed is shrunk to
    fewer faults and leaves a report and a capture.
    """
    chosen = _parse_seeds(seeds)
    gone = _parse_numbers(without)
    if listing:
        for seed in chosen:
            _show_case(seed, gone)
        return 0
    verdicts = []
    failed = []
    console = Console(stderr=True, highlight=False)
    progress = Progress(
        TextColumn("torture"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    )
    with progress if console.is_terminal else nullcontext():
        task = progress.add_task("", total=len(chosen))
        for report in _reports(chosen, jobs, partial(judge, gone=gone, out=out)):
            progress.advance(task)
            verdicts.append(report)
            if not report["passed"]:
                failed.append(report)
                if not as_json:
                    click.echo(report["report"])
    if as_json:
        click.echo(json.dumps({"seeds": len(chosen), "verdicts": verdicts}, indent=2))
    else:
        segments = sum(report["segments"] for report in verdicts)
        click.echo(
            f"{len(chosen) - len(failed)} of {len(chosen)} seeds passed, {segments} segments"
        )
    return 1 if failed else 0


def judge(seed: int, gone: frozenset[int], out: Path) -> dict[str, Any]:
    """Run one seed and return its verdict; a failure is shrunk and written down."""
    case = generate(seed).without(gone)
    verdict = run_case(case)
    if verdict.passed:
        session = record(case)
        for number in range(_REPLAYS):
            replayed = replay(session, seed * _REPLAYS + number)
            if not replayed.passed:
                return asdict(replayed) | {"seed": seed, "report": _replay_report(seed, replayed)}
        return asdict(verdict)
    fewer, verdict = shrink(case, verdict)
    everything = [at for at in range(len(generate(seed).faults)) if at not in gone]
    left_out = sorted(gone | {everything[number] for number in fewer})
    text = _report(seed, left_out, verdict)
    out.mkdir(parents=True, exist_ok=True)
    run_case(case.without(fewer), out / f"{seed}.pcap")
    (out / f"{seed}.txt").write_text(text + "\n", encoding="utf-8")
    return asdict(verdict) | {"without": left_out, "report": text}


def _reports(seeds: range, jobs: int, work: partial[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield verdicts in the order of the seeds."""
    if jobs == 1:
        yield from map(work, seeds)
        return
    with get_context("spawn").Pool(jobs, _ignore_interrupts) as pool:
        yield from pool.imap(work, seeds, _CHUNK)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent, which ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _parse_seeds(text: str) -> range:
    first, dash, last = text.partition("-")
    try:
        seeds = range(int(first), int(last if dash else first) + 1)
    except ValueError as error:
        raise UsageError(f"--seeds must be A-B, not {text!r}") from error
    if not seeds:
        raise UsageError(f"--seeds {text} has no seed")
    return seeds


def _parse_numbers(text: str) -> frozenset[int]:
    try:
        return frozenset(int(number) for number in text.split(",") if number)
    except ValueError as error:
        raise UsageError(f"--without must be numbers with commas, not {text!r}") from error


def _report(seed: int, left_out: list[int], verdict: Verdict) -> str:
    """Return what failed, how to see it again, and the faults it takes."""
    case = generate(seed)
    lines = [
        f"seed {seed} failed: {verdict.invariant} at {verdict.at_s:.6f} s: {verdict.text}",
        f"  again:  plait torture --seeds {seed}-{seed}{_option(left_out)}",
    ]
    if verdict.packet:
        lines.append(f"  packet: {verdict.packet}")
    lines += [f"  fault:  {fault}" for at, fault in enumerate(case.faults) if at not in left_out]
    return "\n".join(lines)


def _option(left_out: list[int]) -> str:
    return f" --without {','.join(map(str, left_out))}" if left_out else ""


def _replay_report(seed: int, verdict: Verdict) -> str:
    return (
        f"seed {seed} failed when replayed: {verdict.invariant} at {verdict.at_s:.6f} s: "
        f"{verdict.text}\n  again:  plait torture --seeds {seed}-{seed}"
    )


def _show_case(seed: int, gone: frozenset[int]) -> None:
    case = generate(seed)
    click.echo(f"seed {seed}: IPv{case.version}, {len(case.talks)} connections")
    for number, path in enumerate(case.paths):
        click.echo(f"  path {number}: {path.rate_mbit:g} Mbit/s, {path.delay_ms:g} ms")
    for number, fault in enumerate(case.faults):
        if number not in gone:
            click.echo(f"  {number:2}: {fault}")
