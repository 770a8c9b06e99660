"""Plug-ins that fail: the connection goes on with a policy that is known to work.

A plug-in fails by raising, or by an answer that makes no sense.  That is the fault of who wrote it,
and no reason to lose the stream.  The application hears of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from plait.congestion import controllers
from plait.congestion.cubic import Cubic
from plait.congestion.guarded import Guarded
from plait.pathing import path_managers
from plait.pathing.default import Default
from plait.scheduling import schedulers
from plait.scheduling.lowest_rtt import LowestRtt
from plait.tcp import control

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.units import Nanos

MAX_TEXT: Final = 200
"""Characters kept of what a plug-in says."""


def path_manager(connection: Connection, text: str) -> None:
    """Manage no paths any more; subflows stay as they are."""
    _note(connection, path_managers.kind, connection.settings.path_manager, text)
    connection.settings = replace(connection.settings, path_manager=Default.name)
    connection.path_manager = Default()


def scheduler(connection: Connection, text: str) -> None:
    """Schedule by the lowest RTT."""
    _note(connection, schedulers.kind, connection.settings.scheduler, text)
    connection.settings = replace(connection.settings, scheduler=LowestRtt.name)
    connection.scheduler = LowestRtt()
    connection.fenced = False


def controller(connection: Connection, text: str) -> None:
    """Use CUBIC on new subflows."""
    _note(connection, controllers.kind, connection.settings.congestion, text)
    connection.settings = replace(connection.settings, congestion=Cubic.name)


def on_fault(connection: Connection, now: Nanos) -> None:
    """Put CUBIC in the place of controllers that failed, and of their like."""
    text, connection.troubles.fault = connection.troubles.fault, ""
    guarded = [
        subflow.tcp.sender
        for subflow in connection.subflows
        if subflow.alive and isinstance(subflow.tcp.sender.controller, Guarded)
    ]
    if guarded:  # otherwise they were replaced or ended meanwhile
        controller(connection, text)
    for sender in guarded:
        control.replace(sender, now, Cubic(sender.mss), connection.settings)


def _note(connection: Connection, kind: str, name: str, text: str) -> None:
    connection.troubles.failures += ((kind, name, text[:MAX_TEXT]),)
