"""MP_CAPABLE: the handshake of the first subflow (RFC 8684, 3.1; RFC 6824, 3.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from plait.errors import DecodeError
from plait.wire.mptcp.dss import KIND, NO_CHECKSUM
from plait.wire.option import Option

SUBTYPE: Final = 0x0

CHECKSUM_REQUIRED: Final = 0x80
"""A: DSS checksums have to be used."""

EXTENSIBILITY: Final = 0x40
"""B: an unknown format; a receiver that sees it ignores the option."""

DENY_JOIN_ID0: Final = 0x20
"""C: no further subflows to this source address and port (version 1)."""

HMAC_SHA256: Final = 0x01
"""H: the only algorithm defined; HMAC-SHA1 in version 0."""

CRYPTO: Final = 0x1F
"""D to H: the algorithms proposed or chosen."""

_SYN: Final = struct.Struct("!BBBB")
_SYN_ACK: Final = struct.Struct("!BBBB8s")
_ACK: Final = struct.Struct("!BBBB8s8s")
_DATA: Final = struct.Struct("!BBBB8s8sH")
_DATA_CHECKED: Final = struct.Struct("!BBBB8s8sHH")


@dataclass(frozen=True, slots=True, kw_only=True)
class MpCapableSyn(Option):
    """Offer Multipath TCP, without a key: version 1 on a SYN."""

    version: int = 1
    flags: int = HMAC_SHA256

    def serialize(self) -> bytes:
        """Return the 4 octets of the option."""
        return _SYN.pack(KIND, _SYN.size, SUBTYPE << 4 | self.version, self.flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class MpCapableSynAck(Option):
    """Give the sender's key: on a SYN/ACK, and in version 0 on a SYN too."""

    version: int = 1
    flags: int = HMAC_SHA256
    sender_key: bytes

    def serialize(self) -> bytes:
        """Return the 12 octets of the option."""
        head = SUBTYPE << 4 | self.version
        return _SYN_ACK.pack(KIND, _SYN_ACK.size, head, self.flags, self.sender_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class MpCapableAck(Option):
    """Give and echo both keys: on the third ACK, without data."""

    version: int = 1
    flags: int = HMAC_SHA256
    sender_key: bytes
    receiver_key: bytes

    def serialize(self) -> bytes:
        """Return the 20 octets of the option."""
        head = SUBTYPE << 4 | self.version
        return _ACK.pack(KIND, _ACK.size, head, self.flags, self.sender_key, self.receiver_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class MpCapableData(Option):
    """Give both keys and map the first data: DSN is IDSN + 1, SSN is 1 (version 1 only)."""

    version: int = 1
    flags: int = HMAC_SHA256
    sender_key: bytes
    receiver_key: bytes
    length: int
    """Data-Level Length in octets."""

    checksum: int = NO_CHECKSUM
    """16 bits, or `NO_CHECKSUM` where none was negotiated."""

    def serialize(self) -> bytes:
        """Return the 22 octets of the option, 24 with a checksum."""
        head = SUBTYPE << 4 | self.version
        keys = self.sender_key + self.receiver_key
        mapping = self.length.to_bytes(2, "big")
        if self.checksum >= 0:
            mapping += self.checksum.to_bytes(2, "big")
        return _SYN.pack(KIND, _DATA.size + len(mapping) - 2, head, self.flags) + keys + mapping


MpCapable = MpCapableSyn | MpCapableSynAck | MpCapableAck | MpCapableData
"""MP_CAPABLE in any of its forms."""


def parse_mp_capable(option: bytes) -> MpCapable:
    """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
    length = len(option)
    version = option[2] & 0x0F
    flags = option[3] if length > 3 else 0
    if length == _SYN.size:
        return MpCapableSyn(version=version, flags=flags)
    if length == _SYN_ACK.size:
        return MpCapableSynAck(version=version, flags=flags, sender_key=option[4:12])
    if length == _ACK.size:
        return MpCapableAck(
            version=version, flags=flags, sender_key=option[4:12], receiver_key=option[12:20]
        )
    if version and length in {_DATA.size, _DATA_CHECKED.size}:
        return MpCapableData(
            version=version,
            flags=flags,
            sender_key=option[4:12],
            receiver_key=option[12:20],
            length=int.from_bytes(option[20:22], "big"),
            checksum=int.from_bytes(option[22:], "big") if length > _DATA.size else NO_CHECKSUM,
        )
    raise DecodeError(f"MP_CAPABLE version {version} is not {length} octets", 1)
