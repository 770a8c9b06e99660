"""Cookies of TCP Fast Open: those we give to initiators and those listeners gave us (RFC 7413).

A cookie is a keyed hash of the initiator's address.  The key follows from a secret and a count of
hours; the one of the hour before is still accepted, and answered with a new cookie.  Six octets are
enough against guessing and leave room for the key of MP_CAPABLE (RFC 8684, B.1).
"""

from __future__ import annotations

import hmac
from enum import Enum
from typing import Final

from plait.host.remembered import Remembered
from plait.units import SECOND, Nanos, Octets
from plait.wire.crypto import same

COOKIE_OCTETS: Final = 6

KEY_LIFE: Final = 3600 * SECOND
"""How long cookies are made with one key; they are accepted for as long again."""

PAUSE: Final = 3600 * SECOND
"""How long a path on which a SYN with the option was lost is spared it (RFC 7413, 4.1.3.1)."""


HOLD: Final = 60 * SECOND
"""How much longer a connection counts that was reset while it was opening."""


class Worth(Enum):
    """What a cookie is worth."""

    VALID = "take the data"
    OLD = "take the data and give a new cookie"
    WRONG = "take no data and give a new cookie"


class CookieMaker:
    """The listeners' side."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        """Use a secret of at least 16 octets."""
        self._secret = secret

    def make(self, now: Nanos, source: bytes) -> bytes:
        """Return the cookie of an initiator with this address."""
        return self._cookie(now // KEY_LIFE, source)

    def judge(self, now: Nanos, source: bytes, cookie: bytes) -> Worth:
        """Return what the cookie on a SYN from `source` is worth."""
        count = now // KEY_LIFE
        if same(cookie, self._cookie(count, source)):
            return Worth.VALID
        if count and same(cookie, self._cookie(count - 1, source)):
            return Worth.OLD
        return Worth.WRONG

    def _cookie(self, count: int, source: bytes) -> bytes:
        text = b"fast open" + count.to_bytes(8, "big") + source
        return hmac.digest(self._secret, text, "sha256")[:COOKIE_OCTETS]


class Pending:
    """Connections opened by a cookie whose handshake is not complete (RFC 7413, 5.1).

    One that was reset counts for a while longer: else whoever spoofs the address of a host that
    answers with RST could make us take any number of requests.
    """

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._reset: list[Nanos] = []

    def count(self, now: Nanos) -> int:
        """Return how many count at this time."""
        if self._reset:
            self._reset = [until for until in self._reset if until > now]
        return len(self._open) + len(self._reset)

    def add(self, connection_id: int) -> None:
        """One begins."""
        self._open.add(connection_id)

    def discard(self, now: Nanos, connection_id: int, *, reset: bool) -> None:
        """One is complete, or failed."""
        if connection_id in self._open:
            self._open.discard(connection_id)
            if reset:
                self._reset.append(now + HOLD)


class CachedCookie:
    """What is known of a listener's address."""

    __slots__ = ("cookie", "mss", "paused_until")

    def __init__(self) -> None:
        self.cookie = b""
        """Empty while none is known."""

        self.mss: Octets = 0
        """Announced with the cookie."""

        self.paused_until: Nanos = 0
        """Until then the option is not sent at all."""


class CookieCache:
    """The initiators' side: cookies by pair of addresses."""

    def __init__(self, limit: int) -> None:
        """Make an empty cache of at most `limit` pairs."""
        self._by_pair: Remembered[CachedCookie] = Remembered(limit)

    def __len__(self) -> int:
        """Return how many pairs are known."""
        return len(self._by_pair)

    def find(self, pair: bytes) -> CachedCookie | None:
        """Return what is known of a pair: our address, then the listener's."""
        return self._by_pair.find(pair)

    def learn(self, pair: bytes, cookie: bytes, mss: Octets) -> None:
        """Remember a cookie and the segment size announced with it."""
        known = self._entry(pair)
        known.cookie = cookie
        known.mss = mss

    def pause(self, pair: bytes, until: Nanos) -> None:
        """Remember that SYNs with the option do not get through."""
        self._entry(pair).paused_until = until

    def _entry(self, pair: bytes) -> CachedCookie:
        known = self.find(pair)
        if known is None:
            known = CachedCookie()
            self._by_pair.put(pair, known)
        return known
