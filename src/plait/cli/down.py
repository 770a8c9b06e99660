"""`plait down`: takes back what `plait up` has changed."""

from __future__ import annotations

import json
from typing import Final

import click

from plait.cli.running import Command
from plait.uplinks.changing import go_down
from plait.uplinks.journal import load
from plait.uplinks.slots import used
from plait.uplinks.steps import Command as Words
from plait.uplinks.steps import show

_EXAMPLES: Final = """\b
Examples:
  sudo plait down
"""


@click.command("down", cls=Command, epilog=_EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def command(as_json: bool) -> int:
    """Take back every change of `plait up`, the last first.

    It can be run at any time and any number of times: after a `plait up` that was killed, with
    uplinks that are gone, or with nothing to do. Programs that use the devices lose them.
    """
    commands: list[Words] = []

    def tell(words: Words) -> None:
        commands.append(words)
        if not as_json:
            click.echo(show(words))

    journal = load()
    if journal is not None and any(map(used, journal.slots)):
        click.echo("a program uses plait's devices: its connections end", err=True)
    was_up = go_down(tell)
    if as_json:
        click.echo(json.dumps({"was_up": was_up, "commands": [list(words) for words in commands]}))
    elif not was_up:
        click.echo("plait is not up: there is nothing to take back", err=True)
    return 0
