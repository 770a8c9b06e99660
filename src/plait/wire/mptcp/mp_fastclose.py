"""MP_FASTCLOSE: abort the whole connection (RFC 8684, 3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.wire.mptcp.dss import KIND
from plait.wire.option import Option

SUBTYPE: Final = 0x7


@dataclass(frozen=True, slots=True)
class MpFastclose(Option):
    """End the connection at once, as a reset ends a subflow."""

    key: bytes
    """The receiver's key, 8 octets."""

    def serialize(self) -> bytes:
        """Return the 12 octets of the option."""
        return bytes((KIND, 12, SUBTYPE << 4, 0)) + self.key

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != 12:
            raise DecodeError("MP_FASTCLOSE is 12 octets", 1)
        return cls(option[4:])
