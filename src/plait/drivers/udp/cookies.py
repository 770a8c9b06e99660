"""Cookies of a responder: what an initiator returns to prove that it receives at its address.

A cookie is a time and a MAC under a key that nobody else has, so that nothing is kept for those who
never return one.  Those that were returned are remembered for as long as they are good.
"""

from __future__ import annotations

import hmac
import struct
from typing import Final

from plait.drivers.udp.session import Outer
from plait.units import SECOND, Nanos

LIFETIME: Final[Nanos] = 10 * SECOND
"""How long a cookie is good, counted from the whole second in which it was made."""

MAX_SPENT: Final = 4096
"""Cookies that are remembered; while there are so many, none is taken."""

_TIME: Final = struct.Struct("!I")
_MASK32: Final = 0xFFFF_FFFF
_MAC_OCTETS: Final = 12


class Cookies:
    """Makes, checks and spends the cookies of one socket.

    Args:
        key: Random octets of this process.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._spent: dict[bytes, tuple[Nanos, bytes]] = {}

    def make(self, now: Nanos, outer: Outer, initiator_id: bytes, nonce: bytes) -> bytes:
        """Return 16 octets that only this address can return, for this session and nonce."""
        time = _TIME.pack(now // SECOND & _MASK32)
        return time + self._mac(time, outer, initiator_id, nonce)

    def is_good(
        self, now: Nanos, cookie: bytes, outer: Outer, initiator_id: bytes, nonce: bytes
    ) -> bool:
        """Return whether it is one of ours, for these, and not too old."""
        time = cookie[: _TIME.size]
        age = (now // SECOND - _TIME.unpack(time)[0]) & _MASK32
        mac = self._mac(time, outer, initiator_id, nonce)
        return age * SECOND < LIFETIME and hmac.compare_digest(mac, cookie[_TIME.size :])

    def spent_on(self, cookie: bytes) -> bytes | None:
        """Return the session id that a cookie was spent on, None if it was not."""
        entry = self._spent.get(cookie)
        return None if entry is None else entry[1]

    def spend(self, now: Nanos, cookie: bytes, session_id: bytes) -> bool:
        """Remember that a cookie was used; return False if there is no room for it."""
        if len(self._spent) >= MAX_SPENT:
            self._forget(now)
            if len(self._spent) >= MAX_SPENT:
                return False
        self._spent[cookie] = (now + LIFETIME, session_id)
        return True

    def _forget(self, now: Nanos) -> None:
        """Drop those that are too old to be good, which stand first."""
        for cookie, (until, _) in tuple(self._spent.items()):
            if until > now:
                break
            del self._spent[cookie]

    def _mac(self, time: bytes, outer: Outer, initiator_id: bytes, nonce: bytes) -> bytes:
        host, port = outer[:2]
        text = b"".join((time, initiator_id, nonce, port.to_bytes(2, "big"), host.encode()))
        return hmac.digest(self._key, text, "sha256")[:_MAC_OCTETS]
