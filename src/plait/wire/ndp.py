"""Neighbor discovery: which station has an IPv6 address (RFC 4861, 4.3 and 4.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from plait.errors import DecodeError
from plait.wire.checksum import internet_checksum
from plait.wire.ethernet import MAC_OCTETS
from plait.wire.icmp import PROTOCOL_V6
from plait.wire.ipv6 import HEADER_OCTETS, ipv6_header, parse_ipv6
from plait.wire.segment import Buffer
from plait.wire.tcp import pseudo_sum

SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136

ROUTER: Final = 0x80000000
SOLICITED: Final = 0x40000000
OVERRIDE: Final = 0x20000000
"""Flags of an advertisement."""

ALL_NODES: Final = bytes.fromhex("ff02000000000000 0000000000000001")
NOBODY: Final = bytes(16)
"""Source of a solicitation that does not claim its target yet (RFC 4862, 5.4.2)."""

_SOLICITED_NODE: Final = bytes.fromhex("ff02000000000000 00000001ff")

_HOP_LIMIT: Final = 255
"""No router passed it on (RFC 4861, 7.1)."""

_FORM: Final = struct.Struct("!BBHI16s")
_SOURCE_MAC: Final = 1
_TARGET_MAC: Final = 2
_UNIT: Final = 8
"""Octets that the length of an option counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solicitation:
    """Ask who has `target`."""

    source: bytes
    destination: bytes
    target: bytes
    mac: bytes
    """Of the source; empty if it does not say."""

    def serialize(self) -> bytes:
        """Return the whole IPv6 packet."""
        return _packet(self.source, self.destination, SOLICITATION, 0, self.target, self.mac)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement:
    """Tell that `target` is at `mac`."""

    source: bytes
    destination: bytes
    target: bytes
    mac: bytes
    """Empty if it does not say."""

    flags: int
    """`ROUTER`, `SOLICITED` and `OVERRIDE`."""

    def serialize(self) -> bytes:
        """Return the whole IPv6 packet."""
        return _packet(
            self.source, self.destination, ADVERTISEMENT, self.flags, self.target, self.mac
        )


Message: TypeAlias = Solicitation | Advertisement


def solicited_node(address: bytes) -> bytes:
    """Return the group that stations with an address like this one are in (RFC 4291, 2.7.1)."""
    return _SOLICITED_NODE + address[-3:]


def is_discovery(packet: Buffer) -> bool:
    """Return whether an IPv6 packet may be neighbor discovery, as its first octets say."""
    return (
        len(packet) > HEADER_OCTETS
        and packet[6] == PROTOCOL_V6
        and packet[HEADER_OCTETS] in {SOLICITATION, ADVERTISEMENT}
    )


def parse_discovery(packet: Buffer) -> Message:
    """Decode a whole IPv6 packet; raises DecodeError unless it is valid (RFC 4861, 7.1)."""
    protocol, start, stop, _ = parse_ipv6(packet)
    if protocol != PROTOCOL_V6 or packet[7] != _HOP_LIMIT:
        raise DecodeError("not neighbor discovery from this link", 6)
    body = memoryview(packet)[start:stop]
    if len(body) < _FORM.size:
        raise DecodeError("neighbor discovery is at least 24 octets", start)
    source, destination = bytes(packet[8:24]), bytes(packet[24:40])
    initial = pseudo_sum(source + destination + bytes(4), len(body), PROTOCOL_V6)
    if internet_checksum((body,), initial):
        raise DecodeError("wrong ICMP checksum", start + 2)
    kind, code, _, flags, target = _FORM.unpack_from(body)
    if kind not in {SOLICITATION, ADVERTISEMENT} or code or target[0] == 0xFF:
        raise DecodeError("not neighbor discovery", start)
    macs = _options(body[_FORM.size :])
    if kind == SOLICITATION:
        mac = macs.get(_SOURCE_MAC, b"") if any(source) else b""
        return Solicitation(source=source, destination=destination, target=target, mac=mac)
    return Advertisement(
        source=source,
        destination=destination,
        target=target,
        mac=macs.get(_TARGET_MAC, b""),
        flags=flags & (ROUTER | SOLICITED | OVERRIDE),
    )


def _options(octets: memoryview) -> dict[int, bytes]:
    """Return the link-layer addresses among the options.  Raises DecodeError on an empty one."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 2 <= len(octets):
        size = octets[at + 1] * _UNIT
        if not size:
            raise DecodeError("a neighbor discovery option of no length", at)
        if octets[at] in {_SOURCE_MAC, _TARGET_MAC} and size == _UNIT and at + size <= len(octets):
            found[octets[at]] = bytes(octets[at + 2 : at + 2 + MAC_OCTETS])
        at += size
    return found


def _packet(
    source: bytes, destination: bytes, kind: int, flags: int, target: bytes, mac: bytes
) -> bytes:
    """Return a packet; a link-layer address goes into the option that fits the kind."""
    option = b""
    if mac:
        option = bytes((_SOURCE_MAC if kind == SOLICITATION else _TARGET_MAC, 1)) + mac
    length = _FORM.size + len(option)
    body = _FORM.pack(kind, 0, 0, flags, target) + option
    initial = pseudo_sum(source + destination + bytes(4), length, PROTOCOL_V6)
    checksum = internet_checksum((body,), initial).to_bytes(2, "big")
    addresses = source + destination
    header = ipv6_header(addresses, length, PROTOCOL_V6, 0, _HOP_LIMIT)
    return header + body[:2] + checksum + body[4:]
