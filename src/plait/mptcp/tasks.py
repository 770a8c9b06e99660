"""Rare work that waits: what is repeated, or asked of a path, each at a time of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.tcp.receiver import NEVER

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos


class Task:
    """Something to do about one subflow, again and again until it sets its time to `NEVER`."""

    __slots__ = ("at", "subflow", "tries")

    def __init__(self, subflow: Subflow, at: Nanos) -> None:
        self.subflow = subflow
        self.at = at
        self.tries = 0

    def is_over(self) -> bool:
        """Return whether nothing is to be done any more."""
        return not self.subflow.alive

    def on_time(self, connection: Connection, now: Nanos) -> None:
        """Its time has come."""
        raise NotImplementedError


def next_timeout(connection: Connection) -> Nanos:
    """Return when the next task is due, `NEVER` if there is none."""
    return min((task.at for task in connection.tasks), default=NEVER)


def handle_timeout(connection: Connection, now: Nanos) -> None:
    """Do what is due; forget what is done or void."""
    for task in list(connection.tasks):
        if task.is_over():
            task.at = NEVER
        elif task.at <= now:
            task.on_time(connection, now)
    connection.tasks = [task for task in connection.tasks if task.at != NEVER]
