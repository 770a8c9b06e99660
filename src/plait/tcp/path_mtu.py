"""What size of packet the path carries: told by routers, or found out when they say nothing.

A router that drops a packet for its size may say so (RFC 1191; RFC 8201).  Such a message is
believed only if it quotes something in flight, and while packets of the present size arrive it has
to wait for a time-out to confirm it, so that a forged one does little (RFC 5927, 7.2).  Where full
segments vanish in silence, repeated time-outs say the same (RFC 4821, 7.7).  What was learned is
forgotten after a while, since paths change.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from plait.tcp.receiver import NEVER
from plait.units import SECOND, Nanos, Octets

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection

PLATEAUS: Final = (68, 296, 508, 1006, 1492, 2002, 4352, 8166, 17914, 32000, 65535)
"""MTUs that networks have, for routers that do not tell theirs (RFC 1191, 7)."""

LEAST: Final = {40: 68, 60: 1280}
"""Least MTU of a path (RFC 1191, 3; RFC 8200, 5), by the octets of the IP and TCP headers."""

RAISE_AFTER: Final = 600 * SECOND
"""How long a lowered MTU is kept (RFC 1191, 6.3)."""

BLACK_HOLE_TIMEOUTS: Final = 3
"""Time-outs of a full segment after which its size is to blame (Linux: tcp_retries1)."""

BASE: Final = 1024
"""Segment size that nearly all paths carry (RFC 4821, 7.2)."""


class PathMtu:
    """MTU of the path of one connection, in octets, IP header counted."""

    def __init__(self, headers: Octets, mtu: Octets) -> None:
        """Believe in the interface's MTU.

        Args:
            headers: Octets of the IP and TCP headers without options, 40 or 60.
            mtu: That of the interface.
        """
        self.mtu = mtu
        self.deadline: Nanos = NEVER
        """When to try the interface's MTU again."""

        self.full_at: Octets = NEVER
        """Position after the first full segment that was sent with this MTU."""

        self._headers = headers
        self._ceiling = mtu
        self._claimed: Octets = 0

    @property
    def mss(self) -> Octets:
        """Return the segment size that fills the MTU, TCP options counted."""
        return self.mtu - self._headers

    def on_too_big(self, connection: TcpConnection, now: Nanos, claimed: Octets) -> None:
        """A router says that what is in flight exceeds the next hop's MTU; 0 if it tells none."""
        if claimed == 0:
            claimed = PLATEAUS[max(bisect_left(PLATEAUS, self.mtu) - 1, 0)]
        claimed = max(claimed, LEAST[self._headers])
        if claimed >= self.mtu:
            return
        if connection.sender.snd_una >= self.full_at:
            self._claimed = claimed
        else:
            self._lower(connection, now, claimed)

    def on_progress(self) -> None:
        """Something was acknowledged: what is claimed and not confirmed was a lie."""
        self._claimed = 0

    def on_retransmission_timeout(self, connection: TcpConnection, now: Nanos) -> None:
        """Nothing arrives: believe what was claimed, or that full segments vanish."""
        sender = connection.sender
        full = sender.stop - sender.snd_una >= sender.mss
        if self._claimed:
            self._lower(connection, now, self._claimed)
        elif full and sender.backoff >= BLACK_HOLE_TIMEOUTS:
            base = min(BASE + self._headers, self.mtu) if self.mtu > BASE else self.mtu // 2
            if max(base, LEAST[self._headers]) < self.mtu:
                self._lower(connection, now, max(base, LEAST[self._headers]))

    def on_deadline(self, connection: TcpConnection) -> None:
        """Try the interface's MTU again."""
        self._settle(connection, self._ceiling)
        self.deadline = NEVER

    def _lower(self, connection: TcpConnection, now: Nanos, mtu: Octets) -> None:
        """Use a smaller MTU, and send what is in flight again without blaming congestion."""
        self._settle(connection, mtu)
        self.deadline = now + RAISE_AFTER
        connection.sender.resend_outstanding()

    def _settle(self, connection: TcpConnection, mtu: Octets) -> None:
        self.mtu = mtu
        self.full_at = NEVER
        self._claimed = 0
        connection.update_mss()
