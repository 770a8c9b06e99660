"""What is done to connections that run: priorities and policies change, addresses are left."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Final

from plait.errors import UsageError
from plait.sim.station import Station
from plait.sim.torture.case import Fault
from plait.sim.torture.holdings import connections_of
from plait.units import MILLISECOND, Nanos

SPARE: Final = "spare"
"""Ask the peer to send no data on a subflow."""

USE: Final = "use"
"""Ask it to do so again."""

LEAVE: Final = "leave"
"""Give up the address of a subflow."""

CHANGE: Final = "change"
"""Use other policies."""


def due(fault: Fault) -> Nanos:
    """Return when a signal is given."""
    at: int = fault.values["at_ms"]
    return at * MILLISECOND


def give(station: Station, fault: Fault) -> None:
    """Give a signal to every connection that has the subflow, counted from 0, that it is for."""
    now = station.clock.now
    host = station.host
    for entry in list(connections_of(host).by_id.values()):
        if fault.name == CHANGE:
            policies = {key: value for key, value in fault.values.items() if key != "at_ms"}
            with suppress(UsageError):  # it has ended
                host.change(now, entry.connection_id, replace(entry.settings, **policies))
            continue
        usable = [subflow for subflow in entry.connection.subflows if subflow.can_send]
        if fault.path >= len(usable):
            continue
        subflow = usable[fault.path]
        with suppress(UsageError):  # plain TCP, or all there is
            if fault.name == LEAVE:
                host.remove_addresses(now, entry.connection_id, [subflow.path.local])
            else:
                spare = fault.name == SPARE
                host.set_backup(now, entry.connection_id, subflow.id, backup=spare)
    station.owe()
