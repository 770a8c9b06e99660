"""Intents: what a user wants of several paths, in one word.

Each is a path manager, a scheduler and a congestion control that go together, whether it is paced,
and how often idle paths are asked whether they work.  They are ordinary settings: any of them can
be set apart from the intent, at a listener or a connection, and changed while that is open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from plait.errors import UnknownNameError
from plait.host.settings import Settings
from plait.units import SECOND, Nanos


@dataclass(frozen=True, slots=True)
class Intent:
    """A combination of policies."""

    purpose: str
    """What it is for, in a line."""

    path_manager: str
    scheduler: str
    congestion: str
    pacing: bool = False
    path_probe: Nanos = 0


INTENTS: Final[dict[str, Intent]] = {
    "handover": Intent(
        "one path at a time; another one stands by, so that moving needs no handshake",
        "interfaces:backup=yes",
        "active-standby",
        "cubic",
        path_probe=15 * SECOND,
    ),
    "interactive": Intent(
        "the path of least delay at any time",
        "interfaces",
        "smallest-delay",
        "cubic",
        path_probe=15 * SECOND,
    ),
    "aggregate": Intent(
        "all paths together, fair to others where they share a bottleneck",
        "fullmesh",
        "blest",
        "lia",
        pacing=True,  # bursts that follow a wait for a slow path would overflow a fast one's queue
    ),
    "redundant": Intent(
        "everything on every path, so that no loss or failure costs time",
        "interfaces",
        "redundant",
        "lia",
    ),
    "cheap-first": Intent(
        "the first path as long as it keeps up, the others for what would wait half a second",
        "interfaces",
        "cheap-first",
        "lia",
    ),
}


def intent_settings(name: str, base: Settings | None = None) -> Settings:
    """Return `base`, or the default settings, with what an intent means.

    Raises UnknownNameError.
    """
    intent = INTENTS.get(name)
    if intent is None:
        raise UnknownNameError("intent", name, sorted(INTENTS))
    return replace(
        base or Settings(),
        path_manager=intent.path_manager,
        scheduler=intent.scheduler,
        congestion=intent.congestion,
        pacing=intent.pacing,
        path_probe=intent.path_probe,
    )
