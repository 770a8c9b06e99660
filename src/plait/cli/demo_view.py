"""How the demonstration looks: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

_BAR: Final = 30
"""Columns of a bar at the full rate of its path."""

_PLAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PathReading:
    """What one path does at one moment."""

    name: str
    capacity: float
    """Mbit/s."""

    rate: float
    """Mbit/s that arrive at the far end, headers counted."""

    cut: bool


class View:
    """Shows readings as they come; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._shown = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def line(self, text: str = "") -> None:
        """Print a line that stays."""
        self._console.print(text, markup=False, soft_wrap=True)

    def show(self, elapsed: float, readings: Sequence[PathReading], done: float) -> None:
        """Show what the paths do.

        Args:
            elapsed: Seconds since the transfer began.
            readings: One for each path.
            done: Part of the file that has arrived, 0 to 1.
        """
        if self._live is not None:
            self._live.update(_table(elapsed, readings, done), refresh=True)
            return
        if elapsed < self._shown:
            self._shown = 0.0  # another transfer
        if elapsed - self._shown >= _PLAIN_SECONDS:
            self._shown = elapsed
            self.line(_plain(elapsed, readings, done))


def _plain(elapsed: float, readings: Sequence[PathReading], done: float) -> str:
    """Return one line for all paths."""
    rates = "   ".join(f"{reading.name} {_rate(reading)}" for reading in readings)
    return f"  {elapsed:4.1f} s   {rates}   {done:4.0%} received"


def _table(elapsed: float, readings: Sequence[PathReading], done: float) -> Table:
    """Return a row with a bar for each path."""
    table = Table.grid(padding=(0, 2))
    for reading in readings:
        filled = min(round(reading.rate / reading.capacity * _BAR), _BAR)
        style = "red" if reading.cut else "green"
        table.add_row(f"  {reading.name}", f"[{style}]{'━' * filled:<{_BAR}}[/]", _rate(reading))
    filled = round(done * _BAR)
    table.add_row("  file", f"[cyan]{'━' * filled:<{_BAR}}[/]", f"{done:4.0%} in {elapsed:.1f} s")
    return table


def _rate(reading: PathReading) -> str:
    """Return the rate in a fixed width, or that there is none."""
    return "   cut     " if reading.cut else f"{reading.rate:4.1f} Mbit/s"
