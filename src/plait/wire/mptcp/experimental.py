"""MP_EXPERIMENTAL: private use among peers that agreed on it (RFC 8684, 7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from plait.wire.mptcp.dss import KIND
from plait.wire.option import Option

SUBTYPE: Final = 0xF


@dataclass(frozen=True, slots=True)
class MpExperimental(Option):
    """An experimental option; ignored by whoever does not know it."""

    flags: int = 0
    """The low nibble beside the subtype."""

    body: bytes = b""
    """What follows the subtype, 0 to 37 octets."""

    def serialize(self) -> bytes:
        """Return the option, 3 octets and the body."""
        return bytes((KIND, 3 + len(self.body), SUBTYPE << 4 | self.flags)) + self.body

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option of at least 3 octets, kind octet first."""
        return cls(option[2] & 0x0F, option[3:])
