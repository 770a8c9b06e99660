"""MP_PRIO: asking the peer to spare a subflow, and being asked (RFC 8684, 3.3.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.mptcp import advertising
from plait.mptcp.state import Change
from plait.mptcp.tasks import Task
from plait.tcp.receiver import NEVER
from plait.wire.mptcp.mp_prio import MpPrio

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos

TRIES: Final = 3
"""Transmissions of an MP_PRIO: it travels on a pure ACK, and nothing tells that it arrived."""


class Repeat(Task):
    """An MP_PRIO that is said again."""

    __slots__ = ("backup",)

    def __init__(self, subflow: Subflow, at: Nanos, backup: bool) -> None:
        Task.__init__(self, subflow, at)
        self.backup = backup

    def on_time(self, connection: Connection, now: Nanos) -> None:
        """Say it, and plan to say it once more after twice the time."""
        _say(connection, self.subflow, self.backup)
        self.tries += 1
        rtt = self.subflow.tcp.sender.rtt
        self.at = now + rtt.backed_off(self.tries - 1) if self.tries < TRIES else NEVER


def set_backup(connection: Connection, now: Nanos, subflow: Subflow, backup: bool) -> None:
    """Ask the peer to spare this subflow, or to use it again; what was asked before is void."""
    for task in connection.tasks:
        if isinstance(task, Repeat) and task.subflow is subflow:
            task.at = NEVER
    repeat = Repeat(subflow, now, backup)
    connection.tasks.append(repeat)
    repeat.on_time(connection, now)


def _say(connection: Connection, subflow: Subflow, backup: bool) -> None:
    """Queue the option on the subflow itself.

    In version 0 another one can say it for a subflow that does not answer (RFC 6824, 3.3.8).
    """
    connection.counters.mp_prio_tx += 1
    carrier = subflow
    option = MpPrio(backup)
    if subflow.stale and connection.version.names_priorities:
        other = advertising.carrier(connection)
        if other is not None:
            carrier = other
            option = MpPrio(backup, subflow.local_id)
    carrier.signals = [queued for queued in carrier.signals if not _means(queued[0], option)]
    carrier.signals.append((option,))


def _means(queued: object, option: MpPrio) -> bool:
    """Return whether an option that still waits is about the same subflow."""
    return isinstance(queued, MpPrio) and queued.address_id == option.address_id


def on_prio(connection: Connection, subflow: Subflow, option: MpPrio) -> None:
    """Note the priority of the subflow it came on; in version 0 it may name an address instead."""
    if option.address_id is not None and not connection.version.names_priorities:
        return
    connection.counters.mp_prio_rx += 1
    if option.address_id is None:
        _note(connection, subflow, option.backup)
        return
    for other in connection.subflows:
        if other.remote_id == option.address_id:
            _note(connection, other, option.backup)


def _note(connection: Connection, subflow: Subflow, backup: bool) -> None:
    if subflow.backup != backup:
        subflow.backup = backup
        connection.changed.append((subflow, Change.PRIORITY))
