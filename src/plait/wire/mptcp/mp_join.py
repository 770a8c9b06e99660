"""MP_JOIN: the handshake of a further subflow (RFC 8684, 3.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.wire.mptcp.dss import KIND
from plait.wire.option import Option

SUBTYPE: Final = 0x1

_BACKUP: Final = 0x01
_SYN: Final = struct.Struct("!BBBBII")
_SYN_ACK: Final = struct.Struct("!BBBB8sI")
_ACK: Final = struct.Struct("!BBBB20s")


@dataclass(frozen=True, slots=True, kw_only=True)
class MpJoinSyn(Option):
    """Ask to add this subflow to the connection that `token` names (RFC 8684, figure 5)."""

    token: int
    """Receiver's token, 32 bits."""

    nonce: int
    """Sender's random number for this attempt, 32 bits."""

    address_id: int
    """Sender's name for the source address of this segment."""

    backup: bool = False
    """The receiver is asked to send here only when no other subflow is left."""

    def serialize(self) -> bytes:
        """Return the 12 octets of the option."""
        head = SUBTYPE << 4 | (_BACKUP if self.backup else 0)
        return _SYN.pack(KIND, _SYN.size, head, self.address_id, self.token, self.nonce)

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != _SYN.size:
            raise DecodeError("MP_JOIN on a SYN is 12 octets", 1)
        _, _, head, address_id, token, nonce = _SYN.unpack(option)
        return cls(token=token, nonce=nonce, address_id=address_id, backup=bool(head & _BACKUP))


@dataclass(frozen=True, slots=True, kw_only=True)
class MpJoinSynAck(Option):
    """Accept the subflow and prove to know both keys (RFC 8684, figure 6)."""

    hmac: bytes
    """Leftmost 8 octets of the responder's HMAC."""

    nonce: int
    address_id: int
    backup: bool = False

    def serialize(self) -> bytes:
        """Return the 16 octets of the option."""
        head = SUBTYPE << 4 | (_BACKUP if self.backup else 0)
        return _SYN_ACK.pack(KIND, _SYN_ACK.size, head, self.address_id, self.hmac, self.nonce)

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != _SYN_ACK.size:
            raise DecodeError("MP_JOIN on a SYN/ACK is 16 octets", 1)
        _, _, head, address_id, hmac, nonce = _SYN_ACK.unpack(option)
        return cls(hmac=hmac, nonce=nonce, address_id=address_id, backup=bool(head & _BACKUP))


@dataclass(frozen=True, slots=True)
class MpJoinAck(Option):
    """Prove to know both keys, as the initiator of the subflow (RFC 8684, figure 7)."""

    hmac: bytes
    """Leftmost 20 octets of the initiator's HMAC."""

    def serialize(self) -> bytes:
        """Return the 24 octets of the option."""
        return _ACK.pack(KIND, _ACK.size, SUBTYPE << 4, 0, self.hmac)

    @classmethod
    def parse(cls, option: bytes) -> Self:
        """Decode one whole option, kind octet first.  Raises DecodeError on a bad length."""
        if len(option) != _ACK.size:
            raise DecodeError("MP_JOIN on an ACK is 24 octets", 1)
        return cls(option[4:])


MpJoin = MpJoinSyn | MpJoinSynAck | MpJoinAck
"""MP_JOIN in any of its forms."""


def parse_mp_join(option: bytes) -> MpJoin:
    """Decode the form of MP_JOIN that the length tells.  Raises DecodeError on any other."""
    if len(option) == _SYN_ACK.size:
        return MpJoinSynAck.parse(option)
    if len(option) == _ACK.size:
        return MpJoinAck.parse(option)
    return MpJoinSyn.parse(option)
