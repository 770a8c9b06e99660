"""`plait script`: packet scripts in packetdrill's language, on plait's stack or on the kernel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from plait.cli.running import Command
from plait.errors import UsageError
from plait.script.packets import Strictness
from plait.script.report import exit_status, explain, summary, to_json, to_junit
from plait.script.session import Options, Result, Status, find_scripts, run_script
from plait.units import MICROSECOND, SECOND, Nanos

_EXAMPLES: Final = """\b
Examples:
  plait script examples/scripts/handshake.pkt
  plait script --on both --verbose examples/scripts/multipath.pkt
  plait script --on kernel --junit report.xml tests/scripts

\b
Exit status: 0 all passed, 1 a script failed, 2 a script or an argument is bad.
"""

_STYLES: Final = {
    Status.PASSED: ("ok", "green"),
    Status.FAILED: ("FAIL", "red"),
    Status.SKIPPED: ("skip", "yellow"),
    Status.ERROR: ("BAD", "red"),
}


@click.command("script", cls=Command, epilog=_EXAMPLES)
@click.argument(
    "paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--on",
    "backend",
    type=click.Choice(["stack", "kernel", "both"]),
    default="stack",
    show_default=True,
    help="Whose TCP is tested: plait's in virtual time, or the kernel's in a namespace of its own.",
)
@click.option("--loose", is_flag=True, help="Let the order of options and their padding differ.")
@click.option(
    "--tolerance-usecs",
    type=click.IntRange(0),
    metavar="N",
    help="How much earlier or later packets may leave, instead of the scripts' own tolerance.",
)
@click.option(
    "-D",
    "--define",
    "defines",
    multiple=True,
    metavar="NAME=TEXT",
    help="Put TEXT in place of NAME in every script.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print every packet and call as it goes.")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a JUnit report.")  # fmt: skip
@click.option("--json", "json_path", metavar="FILE",
              help="Write all results as JSON; - is standard output.")  # fmt: skip
def command(
    paths: tuple[Path, ...],
    backend: str,
    loose: bool,
    tolerance_usecs: int | None,
    defines: tuple[str, ...],
    verbose: bool,
    junit: Path | None,
    json_path: str | None,
) -> int:
    """Run packet scripts: what a program calls, what arrives and what has to leave.

    FILE is a script in the language of packetdrill with its words for Multipath TCP, or a
    directory of scripts.
    """
    tolerance = None if tolerance_usecs is None else tolerance_usecs * MICROSECOND
    options = Options(
        strictness=Strictness(loose=loose), tolerance=tolerance, defines=_defines(defines)
    )
    scripts = find_scripts(list(paths))
    console = Console(highlight=False, soft_wrap=True, stderr=json_path == "-")
    results = _run_all(console, scripts, _backends(backend), options, verbose=verbose)
    if junit is not None:
        junit.write_text(to_junit(results), encoding="utf-8")
    if json_path == "-":
        click.echo(to_json(results), nl=False)
    elif json_path is not None:
        Path(json_path).write_text(to_json(results), encoding="utf-8")
    if len(results) > 1:
        console.print(summary(results))
    return exit_status(results)


def _backends(chosen: str) -> list[str]:
    return ["kernel", "stack"] if chosen == "both" else [chosen]


def _defines(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=TEXT`.  Raises UsageError for what has no name."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"bad -D {text}: write NAME=TEXT")
        found[name] = value
    return found


def _run_all(
    console: Console, scripts: list[Path], backends: list[str], options: Options, *, verbose: bool
) -> list[Result]:
    """Run every script on every back end, and tell of each when it is done."""
    results = []
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=verbose or not sys.stderr.isatty() or len(scripts) == 1,
    )
    with progress:
        task = progress.add_task("", total=len(scripts) * len(backends))
        for path in scripts:
            for backend in backends:
                progress.update(task, description=path.name)
                watch = (lambda at, text: _show(console, at, text)) if verbose else None
                result = run_script(path, backend, options, watch)
                results.append(result)
                _tell(console, result)
                progress.advance(task)
    return results


def _show(console: Console, at: Nanos, text: str) -> None:
    """Print one packet or call."""
    console.print(f"{at / SECOND:12.6f}  {escape(text)}")


def _tell(console: Console, result: Result) -> None:
    """Print how one run ended."""
    word, color = _STYLES[result.status]
    line = f"[{color}]{word:4}[/{color}]  {result.backend:6}  {result.seconds:6.2f} s"
    console.print(f"{line}  {escape(result.path)}")
    for text in explain(result):
        console.print(f"      {escape(text)}")
