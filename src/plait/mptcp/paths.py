"""The paths of a connection: what its path manager sees, and what becomes of its actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from plait.addresses import IpAddress, Path
from plait.mptcp import advertising, removal
from plait.mptcp.state import OVER, Mode
from plait.pathing.base import Action, Advertise, OpenSubflow, View, Withdraw

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.units import Nanos

MAX_ENDED: Final = 32
"""Subflows remembered after their end."""


def view(connection: Connection) -> View:
    """Return what path managers may know."""
    paths = [subflow.path for subflow in connection.subflows if subflow.open_or_opening]
    wishes = [Path(one.local, 0, one.remote, one.remote_port) for one in connection.joins]
    first = connection.subflows[0].path
    local = tuple(connection.local_addresses)
    return View(connection.initiator, first, (*paths, *wishes), local, connection.join_initial)


def on_established(connection: Connection, now: Nanos) -> None:
    """Further subflows are allowed; the peer hears of the addresses that the settings name."""
    perform(connection, now, connection.path_manager.on_established(view(connection)))
    chosen = connection.settings.advertised
    perform(connection, now, [Advertise(address, port) for address, port in chosen])


def perform(connection: Connection, now: Nanos, actions: Sequence[Action]) -> None:
    """Do what the path manager answered, within the limits."""
    if connection.mode is Mode.TCP or connection.state in OVER:
        return
    live = sum(1 for subflow in connection.subflows if subflow.alive) + len(connection.joins)
    for action in actions:
        if isinstance(action, OpenSubflow):
            if action.remote_id in connection.addresses.removed:
                continue  # the peer wants no new subflows there (RFC 8684, 3.4.2)
            if live < connection.settings.max_subflows:
                live += 1
                connection.joins.append(action)
        elif isinstance(action, Advertise):
            advertising.announce(connection, action.address, action.port)
        elif isinstance(action, Withdraw):
            removal.withdraw(connection, now, action.address)


def may_join(connection: Connection) -> bool:
    """Return whether the subflows that are wanted may be opened.

    In version 0 not before a DSS came (RFC 6824, 3.1), which an initiator's confirmation implies.
    """
    proven = connection.initiator or connection.subflows[0].proven
    return connection.confirmed and (proven or not connection.version.dss_confirms)


def on_local_address(connection: Connection, now: Nanos, address: IpAddress, present: bool) -> None:
    """An address of the host came or went."""
    known = connection.local_addresses
    if present and address not in known:
        known.append(address)
    elif not present and address in known:
        known.remove(address)
    if connection.confirmed:
        manager = connection.path_manager
        perform(connection, now, manager.on_local_address(view(connection), address, present))


def forget_ended(connection: Connection) -> None:
    """Remember the first subflow, all live ones and the last of those that ended."""
    ended = [
        subflow
        for subflow in connection.subflows[1:]
        if not subflow.alive and subflow.tcp.reset_due is None
    ]
    for subflow in ended[: -(MAX_ENDED - 1)]:
        connection.subflows.remove(subflow)
