"""Keys, tokens, HMACs and deterministic randomness (RFC 8684, 3.1 and 3.2; RFC 6824 for v0).

Keys and HMACs are octets; tokens, nonces and sequence numbers are integers.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from mypy_extensions import mypyc_attr

from plait.addresses import IpAddress
from plait.units import MICROSECOND, Nanos
from plait.wire.seq import MASK32

KEY_OCTETS: Final = 8

SYN_ACK_HMAC_OCTETS: Final = 8
"""Leftmost octets of the HMAC in MP_JOIN on a SYN/ACK."""

ACK_HMAC_OCTETS: Final = 20
"""Leftmost octets of the HMAC in MP_JOIN on the third ACK."""

_ADD_ADDR_HMAC_OCTETS: Final = 8
_ISN_TICK: Final = 4 * MICROSECOND


def token_and_idsn(key: bytes, version: int = 1) -> tuple[int, int]:
    """Return what `token` and `idsn` do, by one digest."""
    digest = _hash(key, version)
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[-8:], "big")


def token(key: bytes, version: int = 1) -> int:
    """Return the 32-bit token that names the connection whose local key is `key`."""
    return int.from_bytes(_hash(key, version)[:4], "big")


def idsn(key: bytes, version: int = 1) -> int:
    """Return the 64-bit initial data sequence number of the host that owns `key`."""
    return int.from_bytes(_hash(key, version)[-8:], "big")


def join_hmac(
    sender_key: bytes, receiver_key: bytes, sender_nonce: int, receiver_nonce: int, version: int = 1
) -> bytes:
    """Return the whole HMAC of a joining host; options carry its leftmost octets (RFC 8684, 3.2).

    *Sender* is the host whose HMAC it is: it comes first, in the key and in the message.
    """
    message = (sender_nonce << 32 | receiver_nonce).to_bytes(8, "big")
    return hmac.digest(sender_key + receiver_key, message, "sha256" if version else "sha1")


def add_addr_hmac(
    sender_key: bytes, receiver_key: bytes, address_id: int, address: IpAddress, port: int = 0
) -> bytes:
    """Return the 8 octets that authenticate ADD_ADDR (RFC 8684, 3.4.1).

    Args:
        port: The port the option carries, 0 if it carries none; hashed in either case.
    """
    message = bytes((address_id,)) + address.packed + port.to_bytes(2, "big")
    return hmac.digest(sender_key + receiver_key, message, "sha256")[-_ADD_ADDR_HMAC_OCTETS:]


def same(one: bytes, other: bytes) -> bool:
    """Return whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def initial_sequence(flow: bytes, secret: bytes, now: Nanos) -> int:
    """Return the initial sequence number of a new connection on `flow` (RFC 6528, 3).

    A clock of 4 microseconds plus a keyed hash of the flow: successive connections of one flow
    go forward, those of other flows tell nothing about it.
    """
    offset = int.from_bytes(hashlib.sha256(flow + secret).digest()[:4], "big")
    return (now // _ISN_TICK + offset) & MASK32


def _hash(key: bytes, version: int) -> bytes:
    """Return the digest of a key by the version's algorithm."""
    if version:
        return hashlib.sha256(key).digest()
    return hashlib.sha1(key, usedforsecurity=False).digest()


@mypyc_attr(allow_interpreted_subclasses=True)
class Entropy:
    """Random numbers that follow from a seed: SHA-256 of the seed and a counter.

    Whoever knows the seed knows all; a host on a real network takes it from the operating system.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = hashlib.sha256(seed).digest()
        self._counter = 0
        self._pool = b""

    def octets(self, length: int) -> bytes:
        """Return the next `length` octets."""
        while len(self._pool) < length:
            counter = self._counter.to_bytes(8, "big")
            self._pool += hashlib.sha256(self._seed + counter).digest()
            self._counter += 1
        taken = self._pool[:length]
        self._pool = self._pool[length:]
        return taken

    def uint32(self) -> int:
        """Return a number of 32 bits."""
        return int.from_bytes(self.octets(4), "big")

    def uint64(self) -> int:
        """Return a number of 64 bits."""
        return int.from_bytes(self.octets(8), "big")

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit - 1`, each equally likely; `limit` is at least 1."""
        bits = (limit - 1).bit_length()
        length = (bits + 7) // 8
        while True:
            number = int.from_bytes(self.octets(length), "big") >> (8 * length - bits)
            if number < limit:
                return number
