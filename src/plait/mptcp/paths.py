"""The paths of a connection: what its path manager sees, and what becomes of its actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from plait.addresses import IpAddress, Path
from plait.errors import UsageError
from plait.mptcp import advertising, failover, healing, removal
from plait.mptcp.state import OVER, Mode
from plait.pathing.base import (
    Action,
    Advertise,
    OpenSubflow,
    PathManager,
    Question,
    View,
    Withdraw,
    advertised,
)

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
    consult(connection, now, _established)
    for address, port in connection.settings.advertised:
        advertising.announce(connection, address, port)


def _established(manager: PathManager, seen: View) -> list[Action]:
    return manager.on_established(seen)


def consult(connection: Connection, now: Nanos, ask: Question) -> None:
    """Ask the path manager and do what it answers; one that fails is replaced."""
    try:
        actions = ask(connection.path_manager, view(connection))
        for action in actions:
            _check(action)
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        failover.path_manager(connection, repr(error))
    else:
        perform(connection, now, actions)


def _check(action: Action) -> None:
    """Raise an error if this is no action, or one that cannot be done."""
    if isinstance(action, OpenSubflow):
        if action.local.version != action.remote.version or not 0 < action.remote_port < 65536:
            raise UsageError(f"no subflow can be opened by {action}")
    elif not isinstance(action, Advertise | Withdraw):
        raise UsageError(f"{action!r} is no action")


def perform(connection: Connection, now: Nanos, actions: Sequence[Action]) -> None:
    """Do what the path manager answered, within the limits."""
    if connection.mode is Mode.TCP or connection.state in OVER:
        return
    selection = connection.selection
    live = sum(1 for subflow in connection.subflows if subflow.alive) + len(connection.joins)
    for action in actions:
        if isinstance(action, OpenSubflow):
            if live < connection.settings.max_subflows and _may_open(connection, now, action):
                live += 1
                connection.joins.append(action)
        elif isinstance(action, Advertise):
            if selection.admits(action.address):
                port = action.port or selection.ports.get(action.address, 0)
                advertising.announce(connection, action.address, port)
        elif isinstance(action, Withdraw):
            removal.withdraw(connection, now, action.address)


def _may_open(connection: Connection, now: Nanos, wish: OpenSubflow) -> bool:
    """Return whether a subflow that the path manager wants is to be opened."""
    return (
        wish.remote_id not in connection.addresses.removed  # by the peer (RFC 8684, 3.4.2)
        and connection.selection.admits(wish.local)
        and not healing.is_barred(connection, now, wish)
    )


def meet(connection: Connection, now: Nanos) -> None:
    """Let a new path manager take over: it hears what the one before heard."""
    if not connection.confirmed:
        return
    consult(connection, now, _established)
    for address_id, (address, port) in list(connection.addresses.offers.items()):
        consult(connection, now, advertised(address, address_id, port))


def may_join(connection: Connection) -> bool:
    """Return whether the subflows that are wanted may be opened.

    In version 0 not before a DSS came (RFC 6824, 3.1), which an initiator's confirmation implies.
    """
    proven = connection.initiator or connection.subflows[0].proven
    return connection.confirmed and (proven or not connection.version.dss_confirms)


def admit(connection: Connection, address: IpAddress) -> None:
    """Use the address of the first subflow, whatever else was chosen."""
    if not connection.selection.admits(address):
        connection.selection = connection.selection.including([(address, 0)])
        connection.local_addresses.append(address)


def on_local_address(connection: Connection, now: Nanos, address: IpAddress, present: bool) -> None:
    """An address of the host came or went; one that the connection may not use can only go."""
    known = connection.local_addresses
    if present and not connection.selection.admits(address):
        return
    if present and address not in known:
        known.append(address)
        healing.forgive(connection, address)
    elif not present and address in known:
        known.remove(address)
    if connection.confirmed:
        consult(connection, now, lambda plug, seen: plug.on_local_address(seen, address, present))


def forget_ended(connection: Connection) -> None:
    """Remember the first subflow, all live ones and the last of those that ended."""
    ended = [
        subflow
        for subflow in connection.subflows[1:]
        if not subflow.alive and subflow.tcp.reset_due is None
    ]
    for subflow in ended[: -(MAX_ENDED - 1)]:
        connection.subflows.remove(subflow)
