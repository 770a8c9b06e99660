"""Steering: subflows and addresses as the application wants them.

The calls of RFC 6897, 5.3.3 and of draft-hesmans-mptcp-socket.  What the application asks for by
name comes before the path manager's judgment, and limits bind both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from plait.errors import UsageError
from plait.mptcp import advertising, closing, departing, fallback, healing, paths, policy
from plait.mptcp.settings import MAX_SUBFLOWS, SUBFLOW
from plait.mptcp.state import OVER, Mode, Phase
from plait.pathing.base import OpenSubflow
from plait.tcp.settings import changed_fields
from plait.wire.mptcp.mp_tcprst import UNSPECIFIED

if TYPE_CHECKING:
    from plait.addresses import IpAddress
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.tcp.settings import TcpSettings
    from plait.units import Nanos


def free_id(connection: Connection) -> int:
    """Return the id for one more subflow: that which was free for longest."""
    used = {subflow.id for subflow in connection.subflows if subflow.alive}
    last = connection.subflows[-1].id if connection.subflows else 0
    number = 1 + last % MAX_SUBFLOWS
    while number in used:
        number = 1 + number % MAX_SUBFLOWS
    return number


def find(connection: Connection, subflow_id: int) -> Subflow:
    """Return a subflow that lives or opens.  Raises UsageError if there is none of this id."""
    _check_multipath(connection)
    for subflow in connection.subflows:
        if subflow.id == subflow_id and subflow.alive:
            return subflow
    raise UsageError(f"the connection has no subflow {subflow_id}")


def carrier(connection: Connection, subflow_id: int) -> Subflow:
    """Return a subflow that carries data.  Raises UsageError."""
    subflow = find(connection, subflow_id)
    if subflow.phase is not Phase.ACTIVE:
        raise UsageError(f"subflow {subflow_id} is not open yet: wait until it is up")
    return subflow


def _check_multipath(connection: Connection) -> None:
    if connection.state in OVER:
        raise UsageError("the connection has ended")
    if connection.mode is Mode.TCP:
        raise UsageError(f"the connection is plain TCP: {connection.fallback_reason}")


def shares_fate(connection: Connection, subflow: Subflow) -> bool:
    """Return whether a connection ends with its first subflow (RFC 6897, 4.2.2)."""
    return (
        subflow.first
        and connection.settings.fate_sharing
        and connection.mode is Mode.MPTCP
        and connection.state not in OVER
    )


# ---- subflows


def wish(
    connection: Connection,
    local: IpAddress | None,
    remote: IpAddress | None,
    local_port: int,
    remote_port: int,
    backup: bool,
) -> OpenSubflow:
    """Return the join that the application asks for, what it leaves open filled in.

    Raises UsageError if there can be no such subflow.
    """
    _check_multipath(connection)
    if not paths.may_join(connection):
        raise UsageError("the peer has yet to confirm Multipath TCP: wait for data from it")
    first = connection.subflows[0].path
    target = first.remote if remote is None else remote
    port = remote_port or first.remote_port
    source = _source(connection, target) if local is None else local
    if source not in connection.local_addresses:
        raise UsageError(f"{source} is no address this connection may use: add it first")
    if source.version != target.version or not (0 <= local_port < 65536 and 0 < port < 65536):
        raise UsageError(f"no path leads from {source} port {local_port} to {target} port {port}")
    if target != first.remote and not advertising.reachable(connection, target):
        raise UsageError(f"{target} is no address of another host")
    if not connection.join_initial and (target, port) == (first.remote, first.remote_port):
        raise UsageError("the peer allows no subflows to its first address and port")
    live = sum(1 for subflow in connection.subflows if subflow.alive)
    if live >= connection.settings.max_subflows:
        raise UsageError(f"the connection has {live} subflows, as many as it may have")
    known = {address: number for number, address in connection.addresses.remote.items()}
    chosen = OpenSubflow(source, target, port, known.get(target, 0), backup, local_port)
    healing.allow(connection, chosen)
    return chosen


def _source(connection: Connection, target: IpAddress) -> IpAddress:
    """Return an address of ours to reach `target` from, one without subflow to it if possible."""
    alike = [one for one in connection.local_addresses if one.version == target.version]
    if not alike:
        raise UsageError(f"no IPv{target.version} address of ours reaches {target}")
    using = {one.path.local for one in connection.subflows if one.path.remote == target}
    return next((one for one in alike if one not in using), alike[0])


def close_subflow(
    connection: Connection, now: Nanos, subflow_id: int, how: Literal["fin", "rst"]
) -> None:
    """Close one subflow; what it carries goes elsewhere, and no other takes its place.

    Raises UsageError if there is none of this id, or none other that works.
    """
    if how not in {"fin", "rst"}:
        raise UsageError(f"how: must be 'fin' or 'rst', not {how!r}")
    subflow = find(connection, subflow_id)
    working = [one for one in connection.subflows if one.can_send and one is not subflow]
    if not working or (not subflow.stale and all(one.stale for one in working)):
        raise UsageError(f"subflow {subflow_id} is the last one that works: open another first")
    if subflow.initiator:
        healing.forbid(connection, subflow.path)
    if how == "rst":
        fallback.reset(connection, now, subflow, UNSPECIFIED)
    else:
        closing.retire(connection, now, subflow)


def change_subflow(
    connection: Connection, now: Nanos, subflow_id: int, settings: TcpSettings
) -> None:
    """Give one subflow settings of its own.  Raises UsageError for those it cannot have."""
    subflow = find(connection, subflow_id)
    fixed = changed_fields(subflow.tcp.settings, settings).keys() - SUBFLOW
    if fixed:
        raise UsageError(f"{', '.join(sorted(fixed))}: no setting of one subflow")
    policy.change_subflow(connection, now, subflow, settings)


# ---- addresses


def add_addresses(
    connection: Connection, now: Nanos, endpoints: Sequence[tuple[IpAddress, int]]
) -> None:
    """Let addresses of the host be used; the path manager opens what it sees fit."""
    _check_multipath(connection)
    connection.selection = connection.selection.including(endpoints)
    connection.addresses.leaving -= {address for address, _ in endpoints}
    for address, _ in endpoints:
        healing.welcome(connection, address)
        paths.on_local_address(connection, now, address, present=True)


def remove_addresses(connection: Connection, now: Nanos, addresses: frozenset[IpAddress]) -> None:
    """Use addresses no more: their subflows are drained and closed, and the peer is told.

    If no subflow works elsewhere, one is opened first (RFC 6897, 5.3.3), and until it works
    those there are stay.  Raises UsageError if nothing can be opened; nothing has changed then.
    """
    _check_multipath(connection)
    gone = addresses | connection.addresses.leaving
    works = any(one.can_send and one.path.local not in gone for one in connection.subflows)
    if not works and next(departing.ways(connection, gone), None) is None:
        text = ", ".join(sorted(map(str, addresses)))
        raise UsageError(f"{text}: all this connection has; add another address first")
    connection.selection = connection.selection.without(addresses)
    connection.local_addresses = [one for one in connection.local_addresses if one not in gone]
    connection.joins = [one for one in connection.joins if one.local not in gone]
    connection.addresses.leaving = gone
    if works:
        departing.part(connection, now)
    else:
        departing.replace(connection, now)
