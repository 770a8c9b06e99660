"""The `plait` command: finds the subcommand and turns every outcome into an exit status.

0 done, 1 the transport failed, 2 the request was impossible, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import click

from plait import ranges
from plait.cli.running import Terminated

COMMANDS: Final = {
    "demo": "plait.cli.demo",
    "down": "plait.cli.down",
    "nc": "plait.cli.nc",
    "perf": "plait.cli.perf",
    "plugins": "plait.cli.plugins",
    "run": "plait.cli.run",
    "script": "plait.cli.script",
    "sim": "plait.cli.sim",
    "torture": "plait.cli.torture",
    "unit": "plait.cli.unit",
    "up": "plait.cli.up",
}
"""Subcommands and the modules that hold them under the name `command`."""

INTERRUPTED: Final = 130


class LazyGroup(click.Group):
    """Imports a subcommand only when it is asked for: starting must not cost a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the subcommand, or None if there is none of that name."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(module).command
        return command


def installed_version() -> str:
    """Return the version of the installed package, and whether its core is compiled."""
    core = "pure Python" if Path(ranges.__file__).suffix == ".py" else "compiled core"
    try:
        return f"{version('plait')} ({core})"
    except PackageNotFoundError:
        return f"0 (not installed, {core})"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed_version(), prog_name="plait")
def plait() -> None:
    """Multipath TCP in Python, on TUN devices or on the kernel's own sockets."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = plait.main(arguments, prog_name="plait", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        name = getattr(error, "command_path", None) or (context and context.command_path)
        click.echo(f"{name or 'plait'}: {_one_line(error.format_message())}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Terminated as error:
        return 128 + error.signal
    return status if isinstance(status, int) else 0


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def _one_line(message: str) -> str:
    """Return the message without line breaks and without a final stop."""
    return " ".join(message.split()).removesuffix(".")
