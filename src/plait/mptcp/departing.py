"""Leaving local addresses that still work, without loss and without haste.

The peer is asked to spare their subflows, what is on the way arrives, and only then FIN and
REMOVE_ADDR follow.  The last address in use is left once a subflow from another one works (RFC
6897, 5.3.3); until then everything stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from plait.mptcp import closing, healing, priorities, removal
from plait.mptcp.selection import NO_ADDRESSES
from plait.mptcp.state import OVER, Phase
from plait.mptcp.tasks import Task
from plait.pathing.base import OpenSubflow
from plait.tcp.receiver import NEVER

if TYPE_CHECKING:
    from plait.addresses import IpAddress
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos

PATIENCE: Final = 6
"""Round trips, roughly, that the peer has to stop sending on a subflow that is left."""


class Departure(Task):
    """Leaving a subflow whose address we give up: what the peer sent on it is to arrive."""

    __slots__ = ("address_id", "quiet_since")

    def __init__(self, subflow: Subflow, now: Nanos, address_id: int) -> None:
        Task.__init__(self, subflow, now + subflow.tcp.sender.rtt.rto)
        self.address_id = address_id
        self.quiet_since = now

    def on_time(self, connection: Connection, now: Nanos) -> None:
        """Close the subflow once nothing moved on it for a while, or after some time anyway.

        If it is needed after all, since the others have ended, it stays until one takes its place.
        """
        if not any(one.can_send for one in connection.subflows):
            self.at = NEVER
            self.subflow.leaving = False
            connection.addresses.leaving |= {self.subflow.path.local}
            replace(connection, now)
            return
        tcp = self.subflow.tcp
        moved = tcp.keepalive.heard_at > self.quiet_since or tcp.sender.outstanding()
        self.tries += 1
        if moved and self.tries < PATIENCE:
            self.quiet_since = now
            self.at = now + tcp.sender.rtt.rto
            return
        self.at = NEVER
        self.subflow.leaving = False
        closing.retire(connection, now, self.subflow)
        removal.tell_if_left(connection, self.address_id)


class Parting(Task):
    """A subflow came up: addresses that waited for one elsewhere can be given up."""

    __slots__ = ()

    def on_time(self, connection: Connection, now: Nanos) -> None:
        """Leave them if it works."""
        self.at = NEVER
        part(connection, now)


def part(connection: Connection, now: Nanos) -> None:
    """Leave the addresses that wait for it, if a subflow works elsewhere."""
    gone = connection.addresses.leaving
    if any(one.can_send and one.path.local not in gone for one in connection.subflows):
        connection.addresses.leaving = NO_ADDRESSES
        for address in sorted(gone, key=str):
            leave(connection, now, address)


def replace(connection: Connection, now: Nanos) -> None:
    """Open a subflow in the place of those to be left, unless one is opening."""
    gone = connection.addresses.leaving
    opening = [one.path.local for one in connection.subflows if one.open_or_opening]
    opening += [one.local for one in connection.joins]
    if connection.state not in OVER and all(local in gone for local in opening):
        for way in ways(connection, gone):
            if not healing.is_barred(connection, now, way):
                connection.joins.append(way)
                return


def ways(connection: Connection, gone: frozenset[IpAddress]) -> Iterator[OpenSubflow]:
    """Yield joins from the addresses that are left to those of the peer that can be joined."""
    first = connection.subflows[0].path
    remotes = {}
    if connection.join_initial and 0 not in connection.addresses.removed:
        remotes[0] = (first.remote, first.remote_port)
    for number, (address, port) in connection.addresses.offers.items():
        remotes[number] = (address, port or first.remote_port)
    for local in connection.local_addresses:
        for number, (remote, port) in remotes.items():
            if local not in gone and local.version == remote.version:
                yield OpenSubflow(local, remote, port, number)


def leave(connection: Connection, now: Nanos, address: IpAddress) -> None:
    """Drain the subflows of a local address that works, close them, tell the peer."""
    if address in connection.local_addresses:
        connection.local_addresses.remove(address)
    connection.joins = [wish for wish in connection.joins if wish.local != address]
    address_id = connection.addresses.local.get(address)
    if address_id is None:
        return
    connection.addresses.announcements.pop(address_id, None)
    for subflow in list(connection.subflows):
        if subflow.path.local != address or not subflow.alive or subflow.leaving:
            continue
        if subflow.phase is Phase.ACTIVE:
            subflow.leaving = True
            priorities.set_backup(connection, now, subflow, backup=True)
            connection.tasks.append(Departure(subflow, now, address_id))
        else:
            closing.retire(connection, now, subflow)
    removal.tell_if_left(connection, address_id)
