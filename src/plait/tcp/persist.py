"""Probing a window that is closed, or too small to be used (RFC 9293, 3.8.6.1 and 3.8.6.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.tcp.receiver import NEVER
from plait.tcp.state import SYNCHRONIZED
from plait.units import SECOND, Nanos

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection

OVERRIDE: Final = SECOND
"""Longest wait before a small window is used (RFC 9293, 3.8.6.2.1: 0.1 to 1 second)."""


class Persist:
    """When the window is probed, and what came of it."""

    __slots__ = ("_tries", "_unanswered", "deadline", "overriding")

    def __init__(self) -> None:
        self.deadline: Nanos = NEVER
        self.overriding = False
        """A window too small for a full segment is to be used all the same."""

        self._tries = 0
        self._unanswered = 0

    def arm(self, connection: TcpConnection, now: Nanos) -> None:
        """Start the timer while data waits and nothing in flight can bring an ACK."""
        sender = connection.sender
        if not connection.waiting and sender.stop <= sender.snd_nxt:
            self._tries = 0
        elif (
            self.deadline == NEVER
            and sender.snd_nxt <= sender.snd_una
            and connection.state in SYNCHRONIZED
        ):
            if sender.snd_wnd:
                self.deadline = now + min(sender.rtt.rto, OVERRIDE)
            else:
                self.deadline = now + sender.rtt.backed_off(self._tries)

    def on_answer(self) -> None:
        """The peer acknowledged something, if only a probe."""
        self.deadline = NEVER
        self._unanswered = 0

    def on_timeout(self, connection: TcpConnection, now: Nanos) -> None:
        """Probe: a peer that answers may keep its window closed for ever, a dead one may not."""
        self.deadline = NEVER
        self._tries += 1
        if not self._unanswered:
            connection.unanswered_since = now
        self._unanswered += 1
        self.overriding = True
        connection.probe_due = True
        connection.counters.tcp_win_probe += 1
        tried = self._unanswered > connection.settings.retries
        if tried or connection.user_timed_out(now):
            connection.time_out()
