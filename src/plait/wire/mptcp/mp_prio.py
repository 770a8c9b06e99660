"""MP_PRIO: change the priority of a subflow (RFC 8684, 3.3.8; RFC 6824, 3.3.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.wire.mptcp.dss import KIND
from plait.wire.option import Option

SUBTYPE: Final = 0x5

_BACKUP: Final = 0x01


@dataclass(frozen=True, slots=True)
class MpPrio(Option):
    """Ask the receiver to treat a subflow as backup, or no longer so."""

    backup: bool
    address_id: int | None = None
    """The subflow meant, if not the one this arrives on (version 0 only)."""

    def serialize(self) -> bytes:
        """Return the 3 octets of the option, 4 with an address id."""
        head = SUBTYPE << 4 | (_BACKUP if self.backup else 0)
        if self.address_id is None:
            return bytes((KIND, 3, head))
        return bytes((KIND, 4, head, self.address_id))

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) not in {3, 4}:
            raise DecodeError("MP_PRIO is 3 or 4 octets", 1)
        return cls(bool(option[2] & _BACKUP), option[3] if len(option) == 4 else None)
