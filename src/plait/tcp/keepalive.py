"""Keep-alive: asking a silent peer whether it is still there (RFC 9293, 3.8.4).

Off unless the application asks, since a path that is down for a while harms nobody who says
nothing.  Probes repeat an octet that the peer has acknowledged, which any stack answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.tcp.receiver import NEVER
from plait.tcp.state import SYNCHRONIZED, State
from plait.units import Nanos

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection


class KeepAlive:
    """When the peer was heard, and what was asked since."""

    __slots__ = ("_probed_at", "_probes", "deadline", "heard_at")

    def __init__(self) -> None:
        self.heard_at: Nanos = 0
        """When the last acceptable segment arrived."""

        self.deadline: Nanos = NEVER
        self._probed_at: Nanos = 0
        self._probes = 0

    def start(self, connection: TcpConnection, now: Nanos) -> None:
        """The connection is synchronized."""
        self.heard_at = now
        if connection.settings.keepalive:
            self.deadline = now + connection.settings.keepalive_idle

    def change(self, connection: TcpConnection) -> None:
        """The settings may be others than before."""
        settings = connection.settings
        synchronized = connection.state in SYNCHRONIZED
        wanted = settings.keepalive and synchronized
        self.deadline = self.heard_at + settings.keepalive_idle if wanted else NEVER

    def on_timeout(self, connection: TcpConnection, now: Nanos) -> None:
        """Probe if the peer was silent for long enough; give up if it stays so."""
        settings = connection.settings
        if connection.state not in SYNCHRONIZED or connection.state is State.TIME_WAIT:
            self.deadline = NEVER
            return
        if self.heard_at >= self._probed_at:
            self._probes = 0
        if connection.sender.outstanding():  # which the retransmission timer looks after
            self.deadline = now + settings.keepalive_idle
            return
        if not self._probes and now - self.heard_at < settings.keepalive_idle:
            self.deadline = self.heard_at + settings.keepalive_idle
            return
        if self._exhausted(connection, now):
            connection.reset_due = ()
            connection.time_out()
            return
        self._probes += 1
        self._probed_at = now
        connection.probe_due = True
        connection.counters.tcp_keep_alive += 1
        self.deadline = now + settings.keepalive_interval

    def _exhausted(self, connection: TcpConnection, now: Nanos) -> bool:
        settings = connection.settings
        if settings.user_timeout:
            return self._probes > 0 and now - self.heard_at >= settings.user_timeout
        return self._probes >= settings.keepalive_probes
