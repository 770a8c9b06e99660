"""`plait up`: real interfaces for plait's own stack."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

import click

from plait.cli.running import Command, interruptible
from plait.errors import UsageError
from plait.uplinks import changing, slots
from plait.uplinks.discovery import Uplink
from plait.uplinks.journal import Attachment, Journal, load
from plait.uplinks.steps import Command as Words
from plait.uplinks.steps import show

_MAX_UID: Final = 0xFFFF_FFFE
_UID_DIGITS: Final = 10

_EXAMPLES: Final = """\b
Examples:
  sudo plait up --dry-run
  sudo plait up
  plait nc example.org 80
  sudo plait up eth0 wwan0,gateway=10.64.0.1 --slots 4
  plait up --status
  sudo plait down
"""


@click.command("up", cls=Command, epilog=_EXAMPLES)
@click.argument("uplinks", nargs=-1, metavar="[IF[,gateway=G[+G]]]...")
@click.option(
    "--slots", "count", default=1, show_default=True, metavar="N", help="Stacks at one time."
)
@click.option(
    "--owner", metavar="USER", help="Who may use it without root [default: who ran sudo]."
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")
@click.option("--status", is_flag=True, help="Tell what is up, and which slots are in use.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def command(
    uplinks: tuple[str, ...],
    count: int,
    owner: str | None,
    dry_run: bool,
    status: bool,
    as_json: bool,
) -> int:
    """Let plait's own stack use the uplinks of this machine.

    Without names these are the interfaces that default routes lead to. Each gets a TUN device with
    a private network, routes of its own, and a rule of the packet filter that masquerades. Every
    change is printed as it is made; `plait down` takes all of them back. Then commands without
    --tun, --udp and --packet use all uplinks.
    """
    if status:
        return _status(as_json=as_json)
    user = _owner(owner)
    commands: list[Words] = []

    def tell(words: Words) -> None:
        commands.append(words)
        if not as_json:
            click.echo(show(words))

    if dry_run:
        found, steps, _ = changing.prepare(uplinks, count, user)
        for step in steps:
            tell(step.do)
    else:
        with interruptible():
            found = changing.go_up(uplinks, count, user, tell)
    _report(found, commands, as_json=as_json)
    return 0


def _report(uplinks: Sequence[Uplink], commands: Sequence[Words], *, as_json: bool) -> None:
    """Tell which uplinks there are, and what may be in their way."""
    obstacles = changing.obstacles()
    if as_json:
        told: dict[str, Any] = {
            "uplinks": [str(uplink) for uplink in uplinks],
            "commands": [list(words) for words in commands],
            "obstacles": obstacles,
        }
        click.echo(json.dumps(told))
        return
    for uplink in uplinks:
        click.echo(f"uplink {uplink}", err=True)
    for chain in obstacles:
        click.echo(
            f"plait up: the chain {chain} drops forwarded packets: have it accept those of plait's "
            "devices",
            err=True,
        )


def _status(*, as_json: bool) -> int:
    """Tell what is up; the exit status is 1 if nothing is."""
    journal = load()
    if journal is None:
        click.echo(json.dumps({"up": False}) if as_json else "down")
        return 1
    if as_json:
        click.echo(json.dumps(_state(journal)))
        return 0
    if not journal.complete:
        click.echo("cut short: run `plait down`")
    for number, slot in enumerate(journal.slots, 1):
        click.echo(f"slot {number} {_use(slot)}")
        for one in slot:
            click.echo(f"  {one.name} by {one.uplink}: {' '.join(one.local)} mtu {one.mtu}")
    return 0


def _state(journal: Journal) -> dict[str, Any]:
    return {
        "up": journal.complete,
        "slots": [
            {"state": _use(slot), "devices": [asdict(one) for one in slot]}
            for slot in journal.slots
        ],
    }


def _use(slot: list[Attachment]) -> str:
    try:
        return "in use" if slots.in_use(slot) else "free"
    except UsageError:
        return "gone"


def _owner(name: str | None) -> int | None:
    """Return the number of the user who may use the devices.  Raises UsageError."""
    text = name or os.environ.get("SUDO_UID")
    if text is None:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(text).pw_uid
    if text.isdecimal() and len(text) <= _UID_DIGITS and int(text) <= _MAX_UID:
        return int(text)
    raise UsageError(f"--owner {text}: there is no such user")
