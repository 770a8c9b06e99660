"""Policies of a connection: made by name, and changed while it is open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from plait.congestion import controllers
from plait.congestion.cubic import Cubic
from plait.congestion.guarded import guarded
from plait.mptcp import failover, paths
from plait.pathing import path_managers
from plait.registry import is_ours
from plait.scheduling import schedulers
from plait.tcp import control
from plait.tcp.settings import changed_fields

if TYPE_CHECKING:
    from plait.congestion.base import CongestionController
    from plait.mptcp.connection import Connection
    from plait.mptcp.settings import ConnectionSettings
    from plait.mptcp.subflow import Subflow
    from plait.tcp.settings import TcpSettings
    from plait.units import Nanos, Octets


def controller_for(
    connection: Connection, mss: Octets, but: Subflow | None = None, name: str = ""
) -> CongestionController:
    """Return a controller for one more subflow, or in the place of that of `but`.

    `name` stands in for what the connection's settings say.
    """
    made: CongestionController
    try:
        made = guarded(
            controllers.make(name or connection.settings.congestion, mss),
            connection.troubles.on_fault,
        )
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        failover.controller(connection, repr(error))
        made = Cubic(mss)
    others = [one for one in connection.subflows if one.alive and one is not but]
    made.couple([one.tcp.sender.controller for one in others])
    return made


def change(connection: Connection, now: Nanos, settings: ConnectionSettings) -> None:
    """Give an open connection other settings; policies that they name take over at once.

    What changes does so on every subflow; what one was told to do differently stays otherwise.
    """
    before, connection.settings = connection.settings, settings
    if settings.scheduler != before.scheduler:
        connection.scheduler = schedulers.make(settings.scheduler)
        connection.fenced = not is_ours(connection.scheduler)
    if settings.path_manager != before.path_manager:
        connection.path_manager = path_managers.make(settings.path_manager)
        paths.meet(connection, now)
    if settings.path_probe:
        connection.troubles.watch_at = now
    changed = changed_fields(before, settings)
    for subflow in connection.subflows:
        own = subflow.tcp.settings
        whole = settings if own is before else replace(own, **changed)
        change_subflow(connection, now, subflow, whole)


def change_subflow(
    connection: Connection, now: Nanos, subflow: Subflow, settings: TcpSettings
) -> None:
    """Give one subflow settings of its own."""
    tcp = subflow.tcp
    before, tcp.settings = tcp.settings, settings
    tcp.keepalive.change(tcp)
    if settings.congestion != before.congestion and subflow.alive:
        controller = controller_for(connection, tcp.sender.mss, subflow, settings.congestion)
        control.replace(tcp.sender, now, controller, settings)
    elif settings.pacing != before.pacing:
        control.pace(tcp.sender, settings)
