"""ADD_ADDR: advertise an address, or echo an advertisement (RFC 8684, 3.4.1; RFC 6824, 3.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from plait.addresses import IpAddress
from plait.errors import DecodeError, UsageError
from plait.wire.mptcp.dss import KIND
from plait.wire.option import Option

SUBTYPE: Final = 0x3

_ECHO: Final = 0x01
_HMAC_OCTETS: Final = 8
_V4_LENGTHS: Final = (8, 10)
_V6_LENGTHS: Final = (20, 22)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAddr(Option):
    """Tell that the sender can be reached at a further address, or echo that this was heard."""

    address_id: int
    address: IpAddress
    port: int = 0
    """0 if the option carries no port."""

    hmac: bytes | None = None
    """8 octets; None in an echo and in version 0."""

    echo: bool = False
    version: int = 1

    def serialize(self) -> bytes:
        """Return the option, 8 to 30 octets.  Raises UsageError if its HMAC is missing."""
        low = self.address.version if self.version == 0 else int(self.echo)
        body = self.address.packed
        if self.port:
            body += self.port.to_bytes(2, "big")
        if self.version and not self.echo:
            if self.hmac is None or len(self.hmac) != _HMAC_OCTETS:
                raise UsageError("ADD_ADDR needs an HMAC of 8 octets unless it is an echo")
            body += self.hmac
        return bytes((KIND, 4 + len(body), SUBTYPE << 4 | low, self.address_id)) + body

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        length = len(option)
        low = option[2] & 0x0F
        echo = bool(low & _ECHO)
        # Version 0 has the IP version where version 1 has its flags, and never an HMAC.
        version = 0 if (low, length) in _VERSION_0 else 1
        plain = length if echo or version == 0 else length - _HMAC_OCTETS
        address: IpAddress
        if plain in _V4_LENGTHS:
            address, at = IPv4Address(option[4:8]), 8
        elif plain in _V6_LENGTHS:
            address, at = IPv6Address(option[4:20]), 20
        else:
            raise DecodeError(f"ADD_ADDR is not {length} octets", 1)
        return cls(
            address_id=option[3],
            address=address,
            port=int.from_bytes(option[at:plain], "big"),
            hmac=option[plain:] if plain < length else None,
            echo=echo,
            version=version,
        )


_VERSION_0: Final = frozenset(
    [(4, length) for length in _V4_LENGTHS] + [(6, length) for length in _V6_LENGTHS]
)
"""Low nibble and length of the version 0 forms."""
