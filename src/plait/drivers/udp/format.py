"""The datagrams of the UDP encapsulation (docs/udp-encapsulation.md).

Data is a session id of 8 octets and a TCP segment.  No id begins with four zero octets: what does
is a control message, all of one length, proved by the secret that both ends share.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.units import Octets

ID_OCTETS: Final[Octets] = 8
"""Octets of a session id, which is all that stands before a TCP header."""

UDP_OCTETS: Final[Octets] = 8
"""Octets of a UDP header (RFC 768)."""

OVERHEAD: Final[Octets] = UDP_OCTETS + ID_OCTETS
"""Octets that a packet has more than one with the same segment and no UDP."""

CONTROL_OCTETS: Final[Octets] = 56
"""Octets of every control message: no answer is longer than what asked for it."""

MARKER: Final = bytes(4)
"""What control messages begin with, as in RFC 3948, 2.2."""

VERSION: Final = 1

INIT: Final = 1
"""Initiator: may I?  Its nonce tells the answers to this attempt from older ones."""

CHALLENGE: Final = 2
"""Responder: prove that you receive at this address.  Its `body` is a cookie."""

PROOF: Final = 3
"""Initiator: the cookie."""

ACCEPT: Final = 4
"""Responder: the session is there.  Its `body` begins with the id to put before data."""

CLOSE: Final = 5
"""Either end: the session is over.  Its `body` begins with the id that the peer chose."""

TYPES: Final = frozenset({INIT, CHALLENGE, PROOF, ACCEPT, CLOSE})

NO_NONCE: Final = bytes(8)
"""The nonce of a CHALLENGE that no INIT asked for."""

NO_BODY: Final = bytes(16)

_FORM: Final = struct.Struct("!4sBBH8s8s16s")
_MAC_OCTETS: Final = 16
"""HMAC-SHA-256-128 (RFC 4868)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control message; its `mac` is made and checked with the secret, and not kept."""

    type: int
    initiator_id: bytes
    """The session id that the initiator chose; it names the session in every message."""

    nonce: bytes = NO_NONCE
    body: bytes = NO_BODY

    def serialize(self, secret: bytes) -> bytes:
        """Return the octets of the message."""
        text = _FORM.pack(MARKER, VERSION, self.type, 0, self.initiator_id, self.nonce, self.body)
        return text + _mac(secret, text)

    @classmethod
    def parse(cls, octets: bytes, secret: bytes) -> Self:
        """Decode and verify a datagram that begins with `MARKER`.

        Raises DecodeError unless whoever sent it knows the secret.
        """
        if len(octets) != CONTROL_OCTETS:
            raise DecodeError(f"a control message is {CONTROL_OCTETS} octets", 0)
        _, version, kind, zero, initiator_id, nonce, body = _FORM.unpack_from(octets)
        if version != VERSION or kind not in TYPES or zero:
            raise DecodeError(f"control message {kind} of version {version}", 4)
        if is_control(initiator_id):
            raise DecodeError("a session id that looks like a control message", 8)
        if not hmac.compare_digest(_mac(secret, octets[: _FORM.size]), octets[_FORM.size :]):
            raise DecodeError("made with another secret", _FORM.size)
        return cls(type=kind, initiator_id=initiator_id, nonce=nonce, body=body)


def is_control(octets: bytes) -> bool:
    """Return whether a datagram, or a session id, begins as control messages do."""
    return octets.startswith(MARKER)


def keep_alive(session_id: bytes) -> bytes:
    """Return the datagram that keeps a session's mapping in NATs: the id, then zeros.

    It has the length of a control message, so that a CHALLENGE may answer it.
    """
    return session_id + bytes(CONTROL_OCTETS - ID_OCTETS)


def is_keep_alive(octets: bytes) -> bool:
    """Return whether a datagram is one: no TCP header has ports and everything else zero."""
    return len(octets) == CONTROL_OCTETS and not any(octets[ID_OCTETS:])


def _mac(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(secret, text, "sha256")[:_MAC_OCTETS]
