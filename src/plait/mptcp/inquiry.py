"""Asking a path whether it works, by keep-alives, before a subflow is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.mptcp import fallback
from plait.mptcp.tasks import Task
from plait.tcp.receiver import NEVER

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos

PROBES: Final = 3
"""Keep-alives before a path counts as dead."""


class Inquiry(Task):
    """Whether a path still works; one that does not answer is reset."""

    __slots__ = ("asked_at", "reason")

    def __init__(self, subflow: Subflow, now: Nanos, reason: int) -> None:
        Task.__init__(self, subflow, now)
        self.asked_at = now
        self.reason = reason

    @classmethod
    def begin(cls, connection: Connection, now: Nanos, subflow: Subflow, reason: int) -> None:
        """Ask the path of a subflow unless that is being done; `reason` goes into the RST."""
        if any(isinstance(one, cls) and one.subflow is subflow for one in connection.tasks):
            return
        inquiry = cls(subflow, now, reason)
        connection.tasks.append(inquiry)
        inquiry.on_time(connection, now)

    def on_time(self, connection: Connection, now: Nanos) -> None:
        """Keep the subflow if anything came, ask again, or reset it."""
        tcp = self.subflow.tcp
        if tcp.keepalive.heard_at > self.asked_at:
            self.at = NEVER
        elif self.tries < PROBES:
            tcp.probe_due = True
            connection.counters.tcp_keep_alive += 1
            self.at = now + tcp.sender.rtt.backed_off(self.tries)
            self.tries += 1
        else:
            self.at = NEVER
            self.on_silence(connection)
            fallback.reset(connection, now, self.subflow, self.reason)

    def on_silence(self, connection: Connection) -> None:
        """Count what is to be counted: the path is dead."""
