"""Policies of a connection: made by name, and changed while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.congestion import controllers
from plait.congestion.cubic import Cubic
from plait.congestion.guarded import guarded
from plait.mptcp import failover, paths
from plait.pathing import path_managers
from plait.scheduling import schedulers
from plait.tcp import control

if TYPE_CHECKING:
    from plait.congestion.base import CongestionController
    from plait.mptcp.connection import Connection
    from plait.mptcp.settings import ConnectionSettings
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos, Octets


def controller_for(
    connection: Connection, mss: Octets, but: Subflow | None = None
) -> CongestionController:
    """Return a controller for one more subflow, or in the place of that of `but`."""
    made: CongestionController
    try:
        made = guarded(
            controllers.make(connection.settings.congestion, mss), connection.troubles.on_fault
        )
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        failover.controller(connection, repr(error))
        made = Cubic(mss)
    made.couple(
        one.tcp.sender.controller for one in connection.subflows if one.alive and one is not but
    )
    return made


def change(connection: Connection, now: Nanos, settings: ConnectionSettings) -> None:
    """Give an open connection other settings; policies that they name take over at once."""
    before, connection.settings = connection.settings, settings
    if settings.scheduler != before.scheduler:
        connection.scheduler = schedulers.make(settings.scheduler)
    if settings.path_manager != before.path_manager:
        connection.path_manager = path_managers.make(settings.path_manager)
        paths.meet(connection, now)
    if settings.path_probe:
        connection.troubles.watch_at = now
    for subflow in connection.subflows:
        tcp = subflow.tcp
        tcp.settings = settings
        tcp.keepalive.change(tcp)
        if settings.congestion != before.congestion and subflow.alive:
            controller = controller_for(connection, tcp.sender.mss, subflow)
            control.replace(tcp.sender, now, controller, settings)
        elif settings.pacing != before.pacing:
            control.pace(tcp.sender, settings)
