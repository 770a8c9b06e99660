"""Plots of a result: goodput by path, congestion windows, round-trip times, data sequence.

matplotlib draws them; it comes with the extra `plot` and is imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from plait.errors import UsageError

FORMATS: Final = (".png", ".svg", ".html")

_MEGA: Final = 1_000_000
_WIDTH: Final = 10.0
_HEIGHT: Final = 2.6
_SETTINGS: Final = {"svg.hashsalt": "plait", "axes.spines.right": False, "axes.spines.top": False}
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>svg {{ max-width: 100%; height: auto }}</style>
{svg}
</html>
"""

Points = tuple[list[float], list[float]]
Curves = Iterator[tuple[str, Points]]


def check(path: Path) -> None:
    """Raise UsageError unless plots can be drawn, and in the format that the name asks for."""
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: the name of a plot ends in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no directory {path.parent}: make it first")
    _matplotlib()


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw a result with series (`plait.sim.recorder.SERIES`) to a file.  Raises UsageError."""
    check(path)
    matplotlib = _matplotlib()
    with matplotlib.rc_context(_SETTINGS):
        figure = _figure(matplotlib, result)
        if path.suffix == ".html":
            drawn = StringIO()
            figure.savefig(drawn, format="svg", metadata={"Date": None})
            svg = drawn.getvalue()
            page = _PAGE.format(title=result["title"] or "plait", svg=svg[svg.index("<svg") :])
            path.write_text(page, encoding="utf-8")
        else:
            date = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(path, metadata=date, dpi=120)


def _matplotlib() -> Any:
    try:
        matplotlib = import_module("matplotlib")
        import_module("matplotlib.figure")
    except ImportError as error:
        raise UsageError("plots need matplotlib: pip install 'plait[plot]'") from error
    return matplotlib


def _figure(matplotlib: Any, result: dict[str, Any]) -> Any:
    """Return a figure with one panel below the other, all over the same time."""
    panels: tuple[tuple[str, Callable[[dict[str, Any]], Curves]], ...] = (
        ("goodput by path (Mbit/s)", goodput),
        ("congestion window (kB)", lambda told: _series(told, "cwnd", 1000)),
        ("round-trip time (ms)", lambda told: _series(told, "srtt", 1000)),
        ("data sequence (MB)", sequence),
    )
    drawn = [(title, curves) for title, make in panels if (curves := list(make(result)))]
    figure = matplotlib.figure.Figure(
        figsize=(_WIDTH, _HEIGHT * max(len(drawn), 1)), layout="constrained"
    )
    if result["title"]:
        figure.suptitle(result["title"])
    axes = figure.subplots(max(len(drawn), 1), sharex=True, squeeze=False)[:, 0]
    for axis, (title, curves) in zip(axes, drawn, strict=False):
        for label, (times, values) in curves:
            axis.plot(times, values, label=label, linewidth=1)
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, result["duration"])
        axis.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axes[-1].set_xlabel("seconds")
    return figure


def goodput(result: dict[str, Any]) -> Curves:
    """Yield the rate of every subflow, or of flows whose subflows were not recorded."""
    for name, flow in result["flows"].items():
        told = False
        for label, subflow in flow["subflows"].items():
            points = subflow["series"].get("subflows")
            if points:
                told = True
                yield f"{name}: {label}", _slope(points)
        if not told:
            yield name, _slope(_running(flow, result))


def sequence(result: dict[str, Any]) -> Curves:
    """Yield how much of its data each flow has delivered."""
    for name, flow in result["flows"].items():
        points = _running(flow, result)
        yield name, ([time for time, _ in points], [value / _MEGA for _, value in points])


def _series(result: dict[str, Any], series: str, unit: int) -> Curves:
    for name, flow in result["flows"].items():
        for label, subflow in flow["subflows"].items():
            points = subflow["series"].get(series)
            if points:
                yield (
                    f"{name}: {label}",
                    ([time for time, _ in points], [value / unit for _, value in points]),
                )


def _running(flow: dict[str, Any], result: dict[str, Any]) -> list[tuple[float, int]]:
    """Return times and the octets delivered until then."""
    total = 0
    points = [(0.0, 0)]
    for at, octets in enumerate(flow["deliveries"], 1):
        total += octets
        points.append((at * result["interval"], total))
    return points


def _slope(points: list[tuple[float, int]]) -> Points:
    """Return the rate between each two points in Mbit/s."""
    times: list[float] = []
    rates: list[float] = []
    for (before, low), (after, high) in pairwise(points):
        times.append(after)
        rates.append((high - low) * 8 / (after - before) / _MEGA)
    return times, rates
