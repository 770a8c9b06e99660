"""How large the buffers of a connection are: what its paths can use, and no more.

The receive buffer follows what the application reads in a round trip, so that the peer's slow
start is never held up by the window (dynamic right-sizing, as in Linux); the send buffer follows
the congestion windows.  Both only grow, up to their settings.  All connections of a host draw on
one `Memory`: when it is used up, buffers stay as they are and new connections get little ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.mptcp.settings import ConnectionSettings
from plait.units import SECOND, Nanos, Octets

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection

FIRST: Final = 1 << 17
"""Octets of a buffer at the start: more than three round trips of slow start need."""

LEAST: Final = 1 << 12
"""Octets of a buffer whatever the pressure: a connection without any could not end."""

HEADROOM: Final = 16 * 1460
"""Octets added to what two round trips need, for the small windows of the start."""

WINDOWS: Final = 3
"""Times what is in flight that the send buffer holds: lost and repaired octets wait in it."""

LONGEST_RTT: Final = SECOND


class Memory:
    """What the buffers of all connections of a host may hold together."""

    def __init__(self, limit: Octets) -> None:
        self.limit = limit
        self.granted: Octets = 0

    def take(self, wanted: Octets, least: Octets = 0) -> Octets:
        """Grant up to `wanted` octets, at least `least`, and return how many."""
        granted = max(min(wanted, self.limit - self.granted), min(least, wanted))
        self.granted += granted
        return granted

    def give_back(self, octets: Octets) -> None:
        """Take back what was granted."""
        self.granted -= octets


class Tuning:
    """The sizes of both buffers of one connection."""

    __slots__ = ("_copied", "_memory", "_round_at", "_settings", "receive", "send")

    def __init__(self, settings: ConnectionSettings, memory: Memory) -> None:
        self.receive: Octets = memory.take(_first(settings.receive_buffer, settings), LEAST)
        self.send: Octets = memory.take(_first(settings.send_buffer, settings), LEAST)
        self._settings = settings
        self._memory = memory
        self._copied: Octets = 0
        self._round_at: Nanos = 0

    def on_read(self, connection: Connection, now: Nanos, octets: Octets) -> None:
        """The application read: once a round trip, give it room for twice as much."""
        most = self._settings.receive_buffer
        if self.receive >= most:
            return
        self._copied += octets
        if now - self._round_at < self._round_trip(connection, now):
            return
        wanted = min(2 * self._copied + HEADROOM, most)
        if wanted > self.receive:
            self.receive += self._memory.take(wanted - self.receive)
            connection.receiver.capacity = self.receive
            for subflow in connection.subflows:
                subflow.tcp.receiver.window = self.receive  # one window for all (RFC 8684, 3.3.4)
        self._copied = 0
        self._round_at = now

    def _round_trip(self, connection: Connection, now: Nanos) -> Nanos:
        """Return the longest round-trip time of the paths in use, as the receiver sees it.

        Without timestamps nothing tells of queues that grew since the handshake; then what takes
        a whole buffer to arrive counts as a round trip, if it is not too long for one.
        """
        longest = 0
        for subflow in connection.subflows:
            if subflow.alive:
                tcp = subflow.tcp
                longest = max(longest, tcp.sender.rtt.srtt)
                longest = max(longest, tcp.timestamps.arrival_rtt())
                if not tcp.timestamps.on and self._copied >= self.receive:
                    longest = max(longest, min(now - self._round_at, LONGEST_RTT))
        return longest

    def on_full(self, connection: Connection) -> None:
        """The application has more to write: give it room for what the paths can have in flight.

        What a fast path delivers stays here until a slow one has delivered what was before it, and
        what is lost for a round trip more.
        """
        senders = [subflow.tcp.sender for subflow in connection.subflows if subflow.alive]
        slowest = max((sender.rtt.srtt for sender in senders), default=0)
        windows = sum(
            sender.controller.cwnd * slowest // sender.rtt.srtt if sender.rtt.srtt else 0
            for sender in senders
        )
        wanted = WINDOWS * windows
        sender = connection.sender
        if sender.snd_nxt == sender.buffer.stop and 2 * sender.held() > self.send:
            wanted = max(wanted, 2 * self.send)  # all is on its way: nothing else holds up more
        wanted = min(wanted, self._settings.send_buffer)
        if wanted > self.send:
            self.send += self._memory.take(wanted - self.send)
            connection.sender.capacity = self.send

    def end(self) -> None:
        """The connection is gone."""
        self._memory.give_back(self.receive + self.send)
        self.receive = self.send = 0


def _first(most: Octets, settings: ConnectionSettings) -> Octets:
    return min(FIRST, most) if settings.autotuning else most
