"""MP_FAIL: a mapping's checksum was wrong (RFC 8684, 3.7)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.wire.mptcp.dss import KIND
from plait.wire.option import Option

SUBTYPE: Final = 0x6

_FORM: Final = struct.Struct("!BBBBQ")


@dataclass(frozen=True, slots=True)
class MpFail(Option):
    """Tell where the data stream was found changed on its way."""

    dsn: int
    """First DSN of the mapping that failed, always 64 bits."""

    def serialize(self) -> bytes:
        """Return the 12 octets of the option."""
        return _FORM.pack(KIND, _FORM.size, SUBTYPE << 4, 0, self.dsn)

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != _FORM.size:
            raise DecodeError("MP_FAIL is 12 octets", 1)
        return cls(_FORM.unpack(option)[4])
