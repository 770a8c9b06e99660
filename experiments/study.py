"""What experiments are made of: cases that are simulated, and tables of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

from plait.sim.run import run
from plait.sim.scenario import Scenario
from plait.sim.toml import load

Settings = dict[str, object]
"""Of a flow, as scenarios have them."""

Measures = dict[str, float | None]
"""Values by the heading of their column; None where there is nothing to measure."""

Samples = dict[str, dict[str, dict[str, list[float | None]]]]
"""By table, row and column: a value for each seed."""

EXAMPLES: Final = Path(__file__).parents[1] / "examples" / "sim"

SCHEDULERS: Final = (
    "default",
    "round-robin",
    "load-split",
    "priority",
    "cheap-first",
    "blest",
    "ecf",
    "redundant",
    "smallest-delay",
    "active-standby",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One simulation, and what is kept of it."""

    table: str
    row: str
    scenario: Scenario
    measure: Callable[[dict[str, Any]], Measures]
    """Takes the result of the simulation; must be importable by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How a table is shown."""

    name: str
    caption: str
    heading: str = "scheduler"
    """Of the first column."""

    digits: int = 2
    """After the point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """An experiment."""

    name: str
    title: str
    text: str | None
    """Why, and how."""

    reading: str
    """What the tables say, and where a policy loses."""

    tables: tuple[Table, ...]
    cases: Callable[[int, bool], list[Case]]
    """Takes a seed, and whether to be quick; the same cases in the same order for every seed."""


def scenario(file: str, changes: Mapping[str, object]) -> Scenario:
    """Return a scenario of `examples/sim` with some keys changed."""
    return load(EXAMPLES / file, [f"{key}={_toml(value)}" for key, value in changes.items()])


def policies(names: Iterable[str], key: str = "scheduler") -> dict[str, Settings]:
    """Return settings that name one policy each."""
    return {name: {key: name} for name in names}


def simulate(case: Case, seed: int) -> Measures:
    """Run one case."""
    return case.measure(run(case.scenario, seed))


def collect(cases: Iterable[Case], measured: Iterable[Measures], samples: Samples) -> None:
    """Add what one seed gave."""
    for case, values in zip(cases, measured, strict=True):
        row = samples.setdefault(case.table, {}).setdefault(case.row, {})
        for column, value in values.items():
            row.setdefault(column, []).append(value)


def gather(
    study: Study, rows: Iterable[str], seeds: Iterable[int] = (1,), *, quick: bool = True
) -> Samples:
    """Run some rows of a study here and now, as tests do."""
    chosen = set(rows)
    samples: Samples = {}
    for seed in seeds:
        cases = [case for case in study.cases(seed, quick) if case.row in chosen]
        collect(cases, [simulate(case, seed) for case in cases], samples)
    return samples


def markdown(table: Table, rows: Mapping[str, Mapping[str, list[float | None]]]) -> str:
    """Return a table: means, and standard deviations where there are several seeds."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [
        f"| {table.heading} | {' | '.join(columns)} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for name, row in rows.items():
        cells = [shown(row.get(column, []), table.digits) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return f"{table.caption}\n\n" + "\n".join(lines)


def shown(values: list[float | None], digits: int) -> str:
    """Return the mean and the deviation, and of how many seeds if not of all."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    text = f"{mean(known):.{digits}f}"
    if len(known) > 1:
        text += f" ±{stdev(known):.{digits}f}"
    if len(known) < len(values):
        text += f" ({len(known)} of {len(values)})"
    return text


def _toml(value: object) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
