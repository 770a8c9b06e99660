"""`plait sim`: a scenario in virtual time, told as a table, JSON, captures and plots."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from plait.cli.options import PolicyOptions, policy_options
from plait.cli.report import show_amount
from plait.cli.running import Command
from plait.cli.stack import policies_of
from plait.errors import UsageError
from plait.sim import plot
from plait.sim.recorder import SERIES
from plait.sim.run import Simulation, dump
from plait.sim.scenario import Scenario
from plait.sim.toml import load

_MEGA: Final = 1_000_000
_WIDTH: Final = 120
"""Columns where there is no terminal that has a width."""


_EXAMPLES: Final = """\b
Examples:
  plait sim examples/sim/wifi_lte_handover.toml
  plait sim examples/sim/two_adsl.toml --runs 5 --set flows.file.settings.scheduler=default
  plait sim examples/sim/wifi_lte_handover.toml --intent handover --cc bbr
  plait sim examples/sim/satellite_lte.toml --plot satellite.html --pcap captures
"""


@click.command("sim", cls=Command, epilog=_EXAMPLES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", type=int, help="Seed of the first run, instead of the file's.")
@click.option(
    "--runs", type=click.IntRange(1), default=1, show_default=True, help="Runs, seeds going up."
)
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a key of the file."
)
@policy_options
@click.option(
    "--json",
    "json_path",
    metavar="FILE",
    help="Write all results as JSON; - is standard output.",
)
@click.option(
    "--pcap",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a capture of every node.",
)
@click.option(
    "--plot",
    "plot_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the first run; the name ends in .png, .svg or .html.",
)
def command(
    file: Path,
    seed: int | None,
    runs: int,
    changes: tuple[str, ...],
    policies: PolicyOptions,
    json_path: str | None,
    pcap: Path | None,
    plot_path: Path | None,
) -> int:
    """Simulate the scenario in FILE with the real stack in virtual time.

    The same file and seed give the same results and the same captures, octet for octet.  Policies
    are those of all hosts and flows for which the file names no others.
    """
    if plot_path is not None:
        plot.check(plot_path)
        changes = (*changes, f"series={list(SERIES)}")
    scenario = _with_policies(load(file, changes), policies)
    first = scenario.seed if seed is None else seed
    results = []
    for number in range(runs):
        directory = pcap if pcap is None or runs == 1 else pcap / str(first + number)
        results.append(_run(file, scenario, first + number, directory))
    if json_path is not None:
        _write(json_path, dump({"scenario": file.name, "runs": results}))
    if plot_path is not None:
        plot.draw(results[0], plot_path)
    if json_path != "-":
        width = None if sys.stdout.isatty() else _WIDTH
        _show(Console(highlight=False, width=width), results)
    return 0


def _with_policies(scenario: Scenario, policies: PolicyOptions) -> Scenario:
    """Give hosts the policies, unless they have their own.  Raises UsageError for unknown names."""
    policies_of(policies)
    chosen = policies.chosen()
    hosts = {
        name: host if "intent" in host.settings else replace(host, settings=chosen | host.settings)
        for name, host in scenario.hosts.items()
    }
    return replace(scenario, hosts=hosts)


def _run(file: Path, scenario: Scenario, seed: int, pcap: Path | None) -> dict[str, Any]:
    """Run once, with a bar on standard error if that is a terminal."""
    try:
        simulation = Simulation(scenario, seed)
        console = Console(stderr=True)
        progress = Progress(
            TextColumn(f"seed {seed}"),
            BarColumn(),
            TaskProgressColumn(),
            console=console,
            transient=True,
        )
        with progress if console.is_terminal else nullcontext():
            task = progress.add_task("", total=1.0)
            return simulation.run(
                pcap=pcap, progress=lambda part: progress.update(task, completed=part)
            )
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error


def _write(path: str, text: str) -> None:
    if path == "-":
        click.echo(text, nl=False)
    else:
        Path(path).write_text(text, encoding="utf-8")


def _show(console: Console, results: list[dict[str, Any]]) -> None:
    """Print flows, windows and links; of several runs mean and deviation."""
    first = results[0]
    if first["title"]:
        console.print(f"[bold]{first['title']}[/bold]")
    seeds = f"seeds {first['seed']} to {results[-1]['seed']}"
    which = f"seed {first['seed']}" if len(results) == 1 else seeds
    console.print(f"{first['duration']:g} s of virtual time, {which}, {first['packets']} packets")
    console.print(_flows(results))
    if first["windows"]:
        console.print(_windows(results))
    console.print(_links(first))


def _flows(results: list[dict[str, Any]]) -> Table:
    """Return every flow and its subflows."""
    table = Table("flow", "Mbit/s", "delivered", "done after", "answers, delays (ms)", box=None)
    _align(table)
    for name, flow in results[0]["flows"].items():
        rates = [result["flows"][name]["goodput"] for result in results]
        delivered = show_amount(flow["delivered"])
        table.add_row(name, _rates(rates), delivered, _took(flow), _answers(flow))
        for label, subflow in flow["subflows"].items():
            rates = [
                result["flows"][name]["subflows"].get(label, {}).get("goodput", 0)
                for result in results
            ]
            received = show_amount(subflow["received"])
            again = f"{subflow['retransmissions']} sent again"
            table.add_row(f"  {label}", _rates(rates), received, "", again)
    return table


def _links(result: dict[str, Any]) -> Table:
    """Return both directions of every link."""
    table = Table("link", "used", "packets", "dropped", "lost", "longest queue", box=None)
    _align(table)
    for name, link in result["links"].items():
        used = link["utilization"]
        table.add_row(
            name,
            "" if used is None else f"{used:.1%}",
            str(link["packets"]),
            str(link["overflowed"]),
            str(link["lost"]),
            show_amount(link["longest_queue"]),
        )
    return table


def _windows(results: list[dict[str, Any]]) -> Table:
    """Return the goodput of every flow in every window."""
    names = list(results[0]["flows"])
    table = Table("window", *(f"{name} (Mbit/s)" for name in names), box=None)
    _align(table)
    for window in results[0]["windows"]:
        told = [result["windows"][window]["flows"] for result in results]
        table.add_row(
            window, *(_rates([flows[name]["goodput"] for flows in told]) for name in names)
        )
    return table


def _align(table: Table) -> None:
    """Put names to the left and numbers to the right, on one line each."""
    for number, column in enumerate(table.columns):
        column.justify = "right" if number else "left"
        column.no_wrap = True


def _rates(rates: list[int]) -> str:
    """Return a rate in Mbit/s, or the mean of several and their standard deviation."""
    if len(rates) == 1:
        return f"{rates[0] / _MEGA:.2f}"
    return f"{mean(rates) / _MEGA:.2f} ±{stdev(rates) / _MEGA:.2f}"


def _took(flow: dict[str, Any]) -> str:
    if flow["connections"]["lost"]:
        return ", ".join(flow["connections"]["lost"])
    if flow["kind"] == "arrivals" or flow["completed"] is None or flow["started"] is None:
        return ""
    return f"{flow['completed'] - flow['started']:.3f} s"


def _answers(flow: dict[str, Any]) -> str:
    answers = flow.get("answers", flow.get("delays"))
    if answers is None:
        return ""
    return f"{answers['count']}: median {answers['median_ms']:.1f}, p95 {answers['p95_ms']:.1f}"
