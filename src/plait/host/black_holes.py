"""Paths on which SYNs with MP_CAPABLE vanish (RFC 8684, 3.1; RFC 8041, 4.1).

Some firewalls drop a SYN with an option they do not know.  The SYN that is repeated without it gets
through, seconds later; the next connections between the same two addresses spare the wait and open
as plain TCP at once.  After a while one offers Multipath TCP again, since paths change: each
further failure doubles the while, and an answer of any kind ends it.  Linux remembers such failures
for the host as a whole, so that one firewall turns Multipath TCP off everywhere.
"""

from __future__ import annotations

from typing import Final

from plait.addresses import Path
from plait.host.remembered import Remembered
from plait.mptcp.connection import Connection
from plait.units import Nanos

MAX_DOUBLINGS: Final = 6
"""Of the time for which a path is spared, as Linux does."""


class BlackHole:
    """What is known of one path."""

    __slots__ = ("failures", "until")

    def __init__(self, failures: int, until: Nanos) -> None:
        self.failures = failures
        """In a row."""

        self.until = until
        """Until then connections open as plain TCP."""


class BlackHoles:
    """The paths of a host that drop SYNs with MP_CAPABLE, by the addresses of both ends."""

    def __init__(self, limit: int) -> None:
        """Make an empty table of at most `limit` paths."""
        self._known: Remembered[BlackHole] = Remembered(limit)

    def __len__(self) -> int:
        """Return how many paths are known."""
        return len(self._known)

    def spares(self, now: Nanos, path: Path) -> bool:
        """Return whether a connection on this path is to open as plain TCP."""
        known = self._known.find(_ends(path))
        return known is not None and now < known.until

    def learn(self, now: Nanos, connection: Connection) -> None:
        """Take what the SYN/ACK of a connection says about its path."""
        subflow = connection.subflows[0]
        span = connection.settings.black_hole_timeout
        if not subflow.tcp.syn_options or not span:
            return
        ends = _ends(subflow.path)
        if connection.keys.remote or subflow.tcp.syn_count <= subflow.tcp.syn_option_tries:
            self._known.forget(ends)
            return
        known = self._known.find(ends)
        failures = 1 if known is None else known.failures + 1
        span <<= min(failures - 1, MAX_DOUBLINGS)
        self._known.put(ends, BlackHole(failures, now + span))


def _ends(path: Path) -> bytes:
    return path.local.packed + path.remote.packed
