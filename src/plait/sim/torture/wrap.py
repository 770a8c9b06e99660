"""Connections whose data sequence numbers wrap early: by chance that is too rare to wait for."""

from __future__ import annotations

from typing import Final

from plait.host.host import Host
from plait.units import Octets
from plait.wire.crypto import KEY_OCTETS, Entropy

KEYS: Final = tuple(
    bytes.fromhex(key)
    for key in (
        "c4886ef4a014e03d",
        "331d54c0e781a263",
        "d44c13d706119f38",
        "747bec6f41fa4a2d",
        "c3b5b6d7636b1540",
        "757139300a0cf36b",
        "da1d7bfabd06fe90",
        "7246655ae34ab8fe",
        "cf28209ae2f51406",
        "5fa7b4559cb2ccd0",
        "600eef2e14d34a13",
        "6c46f9ff4345192c",
    )
)
"""Keys whose initial data sequence numbers (version 1) are at most 8 KiB before 2**32."""


class NearWrap(Entropy):
    """Entropy that hands out given keys first."""

    def __init__(self, seed: bytes, keys: tuple[bytes, ...]) -> None:
        super().__init__(seed)
        self._keys = list(keys)

    def octets(self, length: Octets) -> bytes:
        """Return the next octets; of 8, the next key."""
        if length == KEY_OCTETS and self._keys:
            return self._keys.pop()
        return super().octets(length)


def wrap_early(host: Host, entropy: bytes, *, initiator: bool) -> None:
    """Give a host half of the keys: initiators and listeners have different ones."""
    half = len(KEYS) // 2
    keys = KEYS[:half] if initiator else KEYS[half:]
    host._opener.entropy = NearWrap(entropy, keys)  # noqa: SLF001 - keys come from nowhere else
