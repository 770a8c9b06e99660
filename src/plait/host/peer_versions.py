"""Which version of Multipath TCP to offer to whom, where a host speaks both (RFC 8684, 3.1).

A listener that speaks version 0 alone cannot use an offer of version 1, since that has no key, and
answers as plain TCP does.  The connection goes on as TCP; the next one to the same destination
offers version 0.  What comes of that decides about the one after it.
"""

from __future__ import annotations

from typing import Final

from plait.addresses import Path
from plait.host.remembered import Remembered
from plait.mptcp.connection import Connection
from plait.mptcp.handshake import served
from plait.mptcp.version import Version
from plait.units import SECOND, Nanos

LIFE: Final = 3600 * SECOND
"""How long a peer is not offered the preferred version after it used the other one."""


class PeerVersions:
    """Destinations to which the second version is offered."""

    def __init__(self, limit: int) -> None:
        """Make an empty cache of at most `limit` destinations."""
        self._until: Remembered[Nanos] = Remembered(limit)

    def __len__(self) -> int:
        """Return how many destinations are known."""
        return len(self._until)

    def choose(self, now: Nanos, path: Path, versions: tuple[Version, ...]) -> Version:
        """Return which of the versions that we speak to offer, the preferred one being first."""
        until = self._until.find(_destination(path))
        later = until is not None and now < until
        return versions[-1] if later else versions[0]

    def learn(self, now: Nanos, connection: Connection) -> None:
        """Take what the SYN/ACK of a connection says about the version that we offered."""
        settings = connection.settings
        if not settings.mptcp or settings.mptcp_versions != "both":
            return
        destination = _destination(connection.subflows[0].path)
        self._until.forget(destination)
        preferred = connection.version is served(settings)[0]
        answered = bool(connection.keys.remote)
        if preferred is not answered:
            self._until.put(destination, now + LIFE)


def _destination(path: Path) -> bytes:
    return path.remote.packed + path.remote_port.to_bytes(2, "big")
