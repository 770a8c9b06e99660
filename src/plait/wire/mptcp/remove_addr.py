"""REMOVE_ADDR: withdraw addresses (RFC 8684, 3.4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.wire.mptcp.dss import KIND
from plait.wire.option import Option

SUBTYPE: Final = 0x4


@dataclass(frozen=True, slots=True)
class RemoveAddr(Option):
    """Tell that the sender can no longer be reached at some addresses."""

    address_ids: tuple[int, ...]
    """At least one."""

    def serialize(self) -> bytes:
        """Return the option, 3 octets and one an address."""
        return bytes((KIND, 3 + len(self.address_ids), SUBTYPE << 4, *self.address_ids))

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) < 4:
            raise DecodeError("REMOVE_ADDR names at least one address", 1)
        return cls(tuple(option[3:]))
