"""`plait unit`: a service of systemd runs under `plait run`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from plait.cli.options import StackOptions, stack_options
from plait.cli.run import check_options, steering_options
from plait.cli.running import Command
from plait.linux.destinations import parse_choice
from plait.linux.systemd import Units

_RUNNING: Final = Path("/run/systemd/system")
"""It is there exactly if systemd manages this machine: sd_booted(3)."""

_EXAMPLES: Final = """\b
Examples:
  plait unit enable nginx
  plait unit enable backup --only '10.0.0.0/8:873'
  plait unit status
  plait unit disable nginx
"""

_root_option = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/"),
    help="Where the files of the machine are, if it is not this one.",
)


@click.group("unit", epilog=_EXAMPLES)
def command() -> None:
    """Let services of systemd speak Multipath TCP.

    What is written is a drop-in, plait.conf, that puts `plait run` before what the service starts;
    nothing else is changed.  Give addresses to --only and --except, not names: they may not
    resolve when the machine starts.
    """


@command.command("enable", cls=Command)
@click.argument("name")
@steering_options
@stack_options
@_root_option
def enable(
    name: str,
    via: str,
    only: tuple[str, ...],
    excepted: tuple[str, ...],
    stack: StackOptions,
    root: Path,
) -> int:
    """Write the drop-in for a service."""
    parse_choice(only, excepted)
    runner = [*_plait(), "run", "--via", check_options(via, stack), *stack.words()]
    for option, lists in (("--only", only), ("--except", excepted)):
        for one in lists:
            runner += [option, one]
    path, text = Units(root).enable(name, [*runner, "--"])
    click.echo(f"wrote {path}:\n\n{text}")
    _reload(name, root)
    return 0


@command.command("disable", cls=Command)
@click.argument("name")
@_root_option
def disable(name: str, root: Path) -> int:
    """Remove the drop-in of a service."""
    click.echo(f"removed {Units(root).disable(name)}\n")
    _reload(name, root)
    return 0


@command.command("status", cls=Command)
@_root_option
def status(root: Path) -> int:
    """List the services that have the drop-in."""
    for service, lines in Units(root).enabled().items():
        for line in lines:
            click.echo(f"{service}: {line}")
    return 0


def _plait() -> list[str]:
    """Return the words that start plait, as absolute paths."""
    script = Path(sys.executable).with_name("plait")
    return [str(script)] if script.exists() else [sys.executable, "-m", "plait.cli"]


def _reload(name: str, root: Path) -> None:
    """Let systemd read its files again, and say what is left to do."""
    if root == Path("/") and _RUNNING.exists():
        subprocess.run(["systemctl", "daemon-reload"], check=False)  # noqa: S607  PATH decides
        click.echo(f"To apply it to a service that runs: systemctl restart {name}")
    else:
        click.echo(f"To apply it: systemctl daemon-reload, then systemctl restart {name}")
