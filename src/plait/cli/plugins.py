"""`plait plugins`: which policies are installed, and what arguments they take."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict, dataclass
from typing import Any, Final

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plait.arguments import as_written, signature
from plait.cli.running import Command
from plait.congestion import controllers
from plait.host.intents import INTENTS
from plait.pathing import path_managers
from plait.registry import Registry
from plait.scheduling import schedulers
from plait.units import MILLISECOND

_KINDS: Final[dict[str, Registry[Any]]] = {
    "--pm": path_managers,
    "--scheduler": schedulers,
    "--cc": controllers,
}
"""Registries by the option that takes their names."""

_GIVEN: Final = frozenset({"mss"})
"""Arguments that the connection itself gives."""

_INTENT: Final = "intent"
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Plugin:
    """One that can be asked for."""

    kind: str
    option: str
    """The option that takes its name."""

    name: str
    summary: str
    arguments: dict[str, Any]
    """Defaults by name, as the option takes them."""

    error: str = ""
    """Why it cannot be used."""


@click.command("plugins", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Write a list of JSON objects.")
def command(as_json: bool) -> int:
    """List path managers, schedulers, congestion controls and intents.

    Those with arguments take them as NAME:KEY=VALUE,...
    """
    found = installed()
    if as_json:
        click.echo(json.dumps([asdict(plugin) for plugin in found], indent=2))
        return 0
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table(box=None, pad_edge=False)
    for heading in ("option", "name", "what it does", "arguments"):
        table.add_column(heading)
    for plugin in found:
        given = ",".join(f"{key}={_shown(value)}" for key, value in plugin.arguments.items())
        cells = (plugin.option, plugin.name, plugin.error or plugin.summary, given)
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
    return 0


def installed() -> list[Plugin]:
    """Return what is built in and what other packages add."""
    found = [
        _described(option, registry, name)
        for option, registry in _KINDS.items()
        for name in registry.names()
    ]
    found += [
        Plugin(_INTENT, "--intent", name, _sentence(intent.purpose), {})
        for name, intent in INTENTS.items()
    ]
    return found


def _described(option: str, registry: Registry[Any], name: str) -> Plugin:
    """Describe one; a package that cannot be imported is shown as such."""
    try:
        kind = registry.find(name)
    except Exception as error:  # noqa: BLE001 - importing a plug-in may raise anything
        return Plugin(registry.kind, option, name, "", {}, f"cannot be used: {error!r}")
    text = inspect.getdoc(as_written(kind)) or ""
    summary = " ".join(text.partition("\n\n")[0].split())
    return Plugin(registry.kind, option, name, summary, _arguments(kind))


def _arguments(kind: type) -> dict[str, Any]:
    """Return the defaults of the arguments that a user can give; times in milliseconds."""
    found: dict[str, Any] = {}
    for one in signature(kind).parameters.values():
        if one.name in _GIVEN or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        default = None if one.default is one.empty else one.default
        if str(one.annotation) == "Nanos":
            found[f"{one.name}_ms"] = None if default is None else default / MILLISECOND
        else:
            found[one.name] = default
    return found


def _shown(value: Any) -> str:
    """Return a default as the option takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "..." if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
