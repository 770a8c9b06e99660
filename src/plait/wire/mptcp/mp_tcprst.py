"""MP_TCPRST: why a subflow is reset (RFC 8684, 3.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.wire.mptcp.dss import KIND
from plait.wire.option import Option

SUBTYPE: Final = 0x8

UNSPECIFIED: Final = 0x00
MPTCP_SPECIFIC: Final = 0x01
LACK_OF_RESOURCES: Final = 0x02
ADMINISTRATIVELY_PROHIBITED: Final = 0x03
TOO_MUCH_OUTSTANDING_DATA: Final = 0x04
UNACCEPTABLE_PERFORMANCE: Final = 0x05
MIDDLEBOX_INTERFERENCE: Final = 0x06

MAY_PASS: Final = frozenset(
    {LACK_OF_RESOURCES, TOO_MUCH_OUTSTANDING_DATA, UNACCEPTABLE_PERFORMANCE}
)
"""Reasons after which a subflow on the same path may work later: flag T goes with them."""

_TRANSIENT: Final = 0x01


@dataclass(frozen=True, slots=True)
class MpTcprst(Option):
    """Give the reason of the RST that carries this."""

    reason: int
    """One of the constants above, or one assigned later."""

    transient: bool = False
    """The same subflow may work later."""

    def serialize(self) -> bytes:
        """Return the 4 octets of the option."""
        return bytes((KIND, 4, SUBTYPE << 4 | (_TRANSIENT if self.transient else 0), self.reason))

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != 4:
            raise DecodeError("MP_TCPRST is 4 octets", 1)
        return cls(option[3], bool(option[2] & _TRANSIENT))
