"""What size of packet the path carries: told by routers, or found out when they say nothing.

A router that drops a packet for its size may say so (RFC 1191; RFC 8201).  Such a message is
believed only if it quotes something in flight, and while packets of the present size arrive it has
to wait for a time-out to confirm it, so that a forged one does little (RFC 5927, 7.2).  Where full
segments vanish in silence, repeated time-outs say the same (RFC 4821, 7.7), and larger segments,
one at a time, find out what passes.  What was learned is
forgotten after a while, since paths change.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from plait.tcp.mtu_probe import NONE
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

BASES: Final = (1024, 512)
"""Segment sizes that nearly all paths, and all, carry (RFC 4821, 7.2 and 7.7)."""

CLOSE_ENOUGH: Final = 8
"""Octets to be gained that are worth no probe (Linux: tcp_probe_threshold)."""


class PathMtu:
    """MTU of the path of one connection, in octets, IP header counted."""

    __slots__ = (
        "_ceiling",
        "_claimed",
        "_found",
        "_headers",
        "_high",
        "_size",
        "deadline",
        "full_at",
        "mtu",
    )

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
        self._high: Octets = 0
        """Least size that is too large, as far as is known; 0 while nothing is searched."""

        self._size: Octets = 0
        """Of the probe."""

        self._found = False
        """The MTU was searched for: no router tells it."""

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

    def start(self, connection: TcpConnection) -> None:
        """The connection is synchronized: begin with what every path carries, if so wished."""
        if connection.settings.mtu_probing == "always":
            self._search(connection, min(BASES[0] + self._headers, self.mtu))

    def on_progress(self, connection: TcpConnection, now: Nanos) -> None:
        """Something was acknowledged: what is claimed and not confirmed was a lie."""
        self._claimed = 0
        if self._high:
            self._on_probe(connection, now)

    def on_retransmission_timeout(self, connection: TcpConnection, now: Nanos) -> None:
        """Nothing arrives: believe what was claimed, or that full segments vanish."""
        sender = connection.sender
        sender.recovery.mtu_probe.fail()
        if self._claimed:
            self._lower(connection, now, self._claimed)
        else:
            self._suspect(connection, now)

    def _suspect(self, connection: TcpConnection, now: Nanos) -> None:
        """Large segments vanish: take the next size that more paths carry."""
        sender = connection.sender
        at = sender.backoff // BLACK_HOLE_TIMEOUTS - 1
        if not 0 <= at < len(BASES) or sender.stop - sender.snd_una <= BASES[at]:
            return
        base = max(BASES[at] + self._headers, LEAST[self._headers])
        if base < min(self.mtu, connection.path_mss + self._headers):
            self._lower(connection, now, base)
            if connection.settings.mtu_probing != "off":
                self._search(connection, base)

    def on_deadline(self, connection: TcpConnection) -> None:
        """Try larger packets again."""
        self.deadline = NEVER
        if self._found:
            self._search(connection, self.mtu)
        else:
            self._settle(connection, self._ceiling)

    def _lower(self, connection: TcpConnection, now: Nanos, mtu: Octets) -> None:
        """Use a smaller MTU, and send what is in flight again without blaming congestion."""
        self._settle(connection, mtu)
        self._high = 0
        self.deadline = now + RAISE_AFTER
        connection.sender.resend_outstanding()

    def _search(self, connection: TcpConnection, low: Octets) -> None:
        """Search between what is known to pass and the interface's MTU (RFC 4821, 7.3)."""
        self._high = min(self._ceiling, connection.path_mss + self._headers)
        self._found = True
        self.deadline = NEVER
        if low != self.mtu:
            self._settle(connection, low)
        self._want(connection)

    def _on_probe(self, connection: TcpConnection, now: Nanos) -> None:
        """Take the outcome of the probe, if there is one, and send the next."""
        probe = connection.sender.recovery.mtu_probe
        if probe.failed:
            probe.failed = False
            connection.counters.tcp_mtup_fail += 1
            self._high = self._size - 1
        elif 0 <= probe.stop <= connection.sender.snd_una:
            probe.stop = NONE
            connection.counters.tcp_mtup_success += 1
            self._settle(connection, self._size)
        elif probe.stop != NONE or probe.wanted:
            return
        if self._high - self.mtu < CLOSE_ENOUGH:
            self._high = 0
            self.deadline = now + RAISE_AFTER
        else:
            self._want(connection)

    def _want(self, connection: TcpConnection) -> None:
        """Have a segment sent that is halfway between what passes and what may."""
        self._size = (self.mtu + self._high + 1) // 2
        sender = connection.sender
        sender.recovery.mtu_probe.wanted = sender.mss + self._size - self.mtu

    def _settle(self, connection: TcpConnection, mtu: Octets) -> None:
        self.mtu = mtu
        self.full_at = NEVER
        self._claimed = 0
        connection.update_mss()
