"""What `make bench` has measured, and how that compares."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from libraries import MissingError

if TYPE_CHECKING:
    from rows import Row

HEADINGS: Final = (
    "plait", "unit", "pure", "compiled", "peer", "the peer's", "ratio pure", "ratio compiled",
    "to reach", "reached",
)  # fmt: skip


@dataclass(slots=True)
class Result:
    """What was measured for a row, round by round."""

    pure: list[float] = field(default_factory=list)
    compiled: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    """The same list for all rows with this peer."""

    def ratios(self) -> list[float | None]:
        """Return plait's figures by the peer's, interpreted and compiled."""
        return [
            median(runs) / median(self.peer) if runs and self.peer else None
            for runs in (self.pure, self.compiled)
        ]

    def reached(self, row: Row) -> list[str]:
        """Return whether the targets are reached, interpreted and compiled."""
        return [
            "-" if ratio is None
            else "yes" if ratio >= target and median(runs) >= least
            else "no"
            for ratio, target, runs, least in zip(
                self.ratios(), row.targets, (self.pure, self.compiled), (row.least, 0), strict=True
            )
        ]  # fmt: skip


class Bench:
    """What was measured so far, and why some was not."""

    def __init__(
        self, chosen_rows: list[Row], libraries: dict[str, Path], missing: dict[str, str]
    ) -> None:
        """Take what to measure, where the builds are, and why one is not."""
        self._libraries = libraries
        peers: dict[str, list[float]] = {row.peer: [] for row in chosen_rows}
        self.results = [(row, Result(peer=peers[row.peer])) for row in chosen_rows]
        self.missing = missing
        """Reasons by what was left out, in a round or in all."""

    def take_turns(self, number: int, row: Row, seconds: float) -> Iterator[str]:
        """Measure both builds, and the peer unless another row has; yield a line after each."""
        if reason := row.lacks():
            self.missing[row.name] = reason
            return
        result = next(result for one, result in self.results if one is row)
        work: list[tuple[str, list[float], Callable[[], float]]] = [
            (f"{row.name}, {build}", getattr(result, build), partial(row.plait, library, seconds))
            for build, library in self._libraries.items()
        ]
        if len(result.peer) < number:
            work.append((row.peer, result.peer, partial(row.measure_peer, seconds)))
        for name, runs, measure in work:
            try:
                runs.append(measure())
            except (MissingError, ValueError, subprocess.SubprocessError) as error:
                self.missing[name] = str(error)
                yield f"{name}: left out, {error}"
            else:
                yield f"{runs[-1]:9.3f} {row.unit:15}  {name}"

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield what stands under the headings, row by row."""
        for row, result in self.results:
            ratios = ("-" if ratio is None else f"{ratio:.3g}" for ratio in result.ratios())
            least = f" and {row.least:g}" if row.least else ""
            yield (
                row.name, row.unit, _shown(result.pure), _shown(result.compiled),
                row.peer, _shown(result.peer), *ratios,
                f"{row.targets[0]:g}{least}, {row.targets[1]:g}",
                ", ".join(result.reached(row)),
            )  # fmt: skip

    def records(self) -> list[dict[str, object]]:
        """Return every figure, as JSON."""
        return [
            {
                "name": row.name,
                "unit": row.unit,
                "pure": result.pure,
                "compiled": result.compiled,
                "peer": row.peer,
                "peer_figures": result.peer,
                "ratios": result.ratios(),
                "targets": row.targets,
                "least": row.least,
                "reached": result.reached(row),
            }
            for row, result in self.results
        ]

    def notes(self) -> Iterator[str]:
        """Yield what the ratios say, and what was left out."""
        yield from dict.fromkeys(row.ratio for row, _ in self.results)
        for name, reason in self.missing.items():
            yield f"Left out: {name}: {reason}."


def _shown(runs: list[float]) -> str:
    """Return the median, and lowest and highest if there are."""
    if len(runs) < 2:
        return f"{runs[0]:.3g}" if runs else "-"
    return f"{median(runs):.3g} ({min(runs):.3g} to {max(runs):.3g})"
