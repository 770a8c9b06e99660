"""How many octets DSNs and Data ACKs take: 8, or 4 where that cannot be misread (RFC 8684, 3.3.1).

Four octets tell a position from others within 2**31 of it.  They are used as long as less than that
is numbered in the lifetime of a segment, so that no late one can be taken for a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.units import SECOND, Nanos, Octets
from plait.wire.mptcp.dss import DATA_ACK_8, DSN_8, MAPPING, Dss
from plait.wire.seq import HALF32, MASK32

if TYPE_CHECKING:
    from plait.mptcp.settings import ConnectionSettings

MSL: Final = 120 * SECOND
"""Maximum segment lifetime (RFC 9293, 3.4.2)."""


class _Pace:
    """How far one direction of the stream moved in the last one to two segment lifetimes."""

    __slots__ = ("_at", "_new", "_old")

    def __init__(self) -> None:
        self._at: Nanos = 0
        self._new: Octets = 0
        self._old: Octets = 0

    def wraps(self, now: Nanos, position: Octets) -> bool:
        """Return whether four octets could be misread at this position."""
        if now - self._at >= MSL:
            self._old = self._new if now - self._at < 2 * MSL else position
            self._new = position
            self._at = now
        return position - self._old >= HALF32


class Widths:
    """The width flags of the next DSS, and why."""

    __slots__ = ("_acks", "_numbers", "ack", "dsn", "narrow")

    def __init__(self, settings: ConnectionSettings) -> None:
        self._numbers = _Pace() if settings.dsn_octets == 4 else None
        self._acks = _Pace() if settings.data_ack_octets == 4 else None
        self.narrow = self._numbers is not None or self._acks is not None
        """Some field is to have 4 octets, which depends on the rate."""

        self.dsn = DSN_8
        """Flag m, or 0 for 4 octets."""

        self.ack = DATA_ACK_8
        """Flag a, or 0 for 4 octets."""

    def mapping(self, flags: int, dsn: int, ssn: int, length: Octets, checksum: int) -> Dss:
        """Return a DSS with a mapping: `dsn` has 64 bits, `flags` is DATA_FIN or 0."""
        number = dsn if self.dsn else dsn & MASK32
        return Dss(MAPPING | self.dsn | flags, 0, number, ssn, length, checksum)

    def settle(self, now: Nanos, snd_nxt: Octets, rcv_nxt: Octets) -> None:
        """Choose the widths of what leaves now."""
        if self._numbers is not None:
            self.dsn = DSN_8 if self._numbers.wraps(now, snd_nxt) else 0
        if self._acks is not None:
            self.ack = DATA_ACK_8 if self._acks.wraps(now, rcv_nxt) else 0
