"""ARP: which station has an IPv4 address (RFC 826, RFC 5227)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Self

from plait.errors import DecodeError
from plait.wire.ethernet import IPV4, MAC_OCTETS
from plait.wire.segment import Buffer

REQUEST: Final = 1
REPLY: Final = 2

NOBODY: Final = bytes(4)
"""Sender of a probe: it does not claim the address yet (RFC 5227, 2.1.1)."""

_ETHERNET: Final = 1
_V4_OCTETS: Final = 4
_FORM: Final = struct.Struct("!HHBBH6s4s6s4s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arp:
    """A question or an answer; addresses are octets."""

    operation: int
    sender_mac: bytes
    sender: bytes
    target_mac: bytes
    """Of no meaning in a request."""

    target: bytes

    def serialize(self) -> bytes:
        """Return the 28 octets."""
        return _FORM.pack(
            _ETHERNET,
            IPV4,
            MAC_OCTETS,
            _V4_OCTETS,
            self.operation,
            self.sender_mac,
            self.sender,
            self.target_mac,
            self.target,
        )

    @classmethod
    def parse(cls, octets: Buffer) -> Self:
        """Decode what follows the Ethernet header.  Raises DecodeError."""
        if len(octets) < _FORM.size:
            raise DecodeError("ARP for IPv4 is 28 octets", 0)
        hardware, protocol, mac, address, operation, *addresses = _FORM.unpack_from(octets)
        if (hardware, protocol, mac, address) != (_ETHERNET, IPV4, MAC_OCTETS, _V4_OCTETS):
            raise DecodeError("ARP for something but IPv4 on Ethernet", 0)
        if operation not in {REQUEST, REPLY}:
            raise DecodeError(f"ARP operation {operation}", 6)
        sender_mac, sender, target_mac, target = addresses
        return cls(
            operation=operation,
            sender_mac=sender_mac,
            sender=sender,
            target_mac=target_mac,
            target=target,
        )


def request(mac: bytes, sender: bytes, target: bytes) -> Arp:
    """Return the question who has `target`; from `NOBODY` it is a probe, for oneself a claim."""
    return Arp(
        operation=REQUEST,
        sender_mac=mac,
        sender=sender,
        target_mac=bytes(MAC_OCTETS),
        target=target,
    )


def reply(asked: Arp, mac: bytes) -> Arp:
    """Return the answer that a station with the target's address gives."""
    return Arp(
        operation=REPLY,
        sender_mac=mac,
        sender=asked.target,
        target_mac=asked.sender_mac,
        target=asked.sender,
    )
