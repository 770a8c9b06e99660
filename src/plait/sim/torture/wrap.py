"""Connections whose data sequence numbers wrap early: by chance that is too rare to wait for."""

from __future__ import annotations

from typing import Final

from plait.host.host import Host
from plait.units import Octets
from plait.wire.crypto import KEY_OCTETS, Entropy, idsn

_NEAR: Final = (1 << 32) - (1 << 18)
"""Least lower half of an initial data sequence number."""


class NearWrap(Entropy):
    """Entropy whose keys give initial data sequence numbers shortly before 2**32."""

    def octets(self, length: Octets) -> bytes:
        """Return the next octets; of 8, the next that make such a key."""
        taken = super().octets(length)
        while length == KEY_OCTETS and idsn(taken) & 0xFFFF_FFFF < _NEAR:
            taken = super().octets(length)
        return taken


def wrap_early(host: Host, entropy: bytes) -> None:
    """Let the keys of a host come from such entropy."""
    host._entropy = NearWrap(entropy)  # noqa: SLF001 - keys come from nowhere else
