"""IP packets with TCP inside, decoded and encoded apart from `plait.wire`.

A second codec of its own: what the stack writes is judged by code the stack does not share, and
runs on the kernel judge the judge.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from plait.addresses import IpAddress
from plait.errors import DecodeError
from plait.script.options import Option, decode_options, encode_options

FLAG_LETTERS: Final = "FSRP.UEC"
"""Flags from the lowest bit up, as scripts write them."""

TCP: Final = 6
_TCP: Final = struct.Struct("!HHIIHHHH")
_TTL: Final = 64
_DONT_FRAGMENT: Final = 0x4000
_ACCURATE: Final = 0x100
"""The AE bit beside the eight flags."""


@dataclass(kw_only=True)
class Frame:
    """One packet; numbers are those of the wire."""

    source: IpAddress
    destination: IpAddress
    source_port: int
    destination_port: int
    seq: int = 0
    ack: int = 0
    flags: int = 0
    window: int = 0
    urgent: int = 0
    options: list[Option] = field(default_factory=list)
    payload: bytes = b""
    tos: int = 0
    """The whole octet: DSCP and ECN."""

    ttl: int = _TTL

    @property
    def path(self) -> tuple[IpAddress, int, IpAddress, int]:
        """Return source and destination, each with its port."""
        return self.source, self.source_port, self.destination, self.destination_port

    def encode(self) -> bytes:
        """Return the packet with complete checksums."""
        options = encode_options(self.options)
        segment = _TCP.pack(
            self.source_port,
            self.destination_port,
            self.seq & 0xFFFFFFFF,
            self.ack & 0xFFFFFFFF,
            (20 + len(options)) // 4 << 12 | self.flags,
            self.window & 0xFFFF,
            0,
            self.urgent,
        )
        segment += options + self.payload
        pseudo = _pseudo(self.source, self.destination, len(segment), TCP)
        checksum = internet_sum(pseudo + segment)
        segment = segment[:16] + struct.pack("!H", checksum) + segment[18:]
        return ip_packet(self.source, self.destination, TCP, segment, self.tos, self.ttl)


def ip_packet(
    source: IpAddress, destination: IpAddress, protocol: int, body: bytes, tos: int, ttl: int
) -> bytes:
    """Return an IP packet around `body`."""
    if source.version == 6:
        first = 6 << 28 | tos << 20
        head = struct.pack("!IHBB", first, len(body), protocol, ttl)
        return head + source.packed + destination.packed + body
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(body), 0, _DONT_FRAGMENT, ttl, protocol, 0)
    head += source.packed + destination.packed
    return head[:10] + struct.pack("!H", internet_sum(head)) + head[12:] + body


def _pseudo(source: IpAddress, destination: IpAddress, length: int, protocol: int) -> bytes:
    """Return the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1)."""
    if source.version == 4:
        tail = struct.pack("!BBH", 0, protocol, length)
    else:
        tail = struct.pack("!II", length, protocol)
    return source.packed + destination.packed + tail


def internet_sum(octets: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = octets + bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def transport_sum(source: IpAddress, destination: IpAddress, protocol: int, body: bytes) -> int:
    """Return the checksum of a transport header and its payload with the pseudo-header."""
    return internet_sum(_pseudo(source, destination, len(body), protocol) + body)


def decode_frame(octets: bytes) -> Frame | None:
    """Return a TCP segment, None for any other packet.  Raises DecodeError for what is broken."""
    version = octets[0] >> 4 if octets else 0
    source: IpAddress
    destination: IpAddress
    if version == 4:
        start = (octets[0] & 0xF) * 4
        stop = int.from_bytes(octets[2:4], "big")
        protocol, tos, ttl = octets[9], octets[1], octets[8]
        source, destination = IPv4Address(octets[12:16]), IPv4Address(octets[16:20])
        if internet_sum(octets[:start]):
            raise DecodeError("wrong IPv4 header checksum", 10)
    elif version == 6:
        start, stop = 40, 40 + int.from_bytes(octets[4:6], "big")
        protocol, ttl = octets[6], octets[7]
        tos = int.from_bytes(octets[:2], "big") >> 4 & 0xFF
        source, destination = IPv6Address(octets[8:24]), IPv6Address(octets[24:40])
    else:
        raise DecodeError(f"IP version {version}", 0)
    if protocol != TCP:
        return None
    segment = octets[start:stop]
    if len(segment) < _TCP.size or transport_sum(source, destination, TCP, segment):
        raise DecodeError("wrong TCP checksum", start + 16)
    return _decode_tcp(source, destination, segment, tos, ttl)


def _decode_tcp(
    source: IpAddress, destination: IpAddress, segment: bytes, tos: int, ttl: int
) -> Frame:
    ports = _TCP.unpack_from(segment)
    source_port, destination_port, seq, ack, bits, window, _, urgent = ports
    body = (bits >> 12) * 4
    return Frame(
        source=source,
        destination=destination,
        source_port=source_port,
        destination_port=destination_port,
        seq=seq,
        ack=ack,
        flags=bits & 0xFFF,
        window=window,
        urgent=urgent,
        options=decode_options(segment[_TCP.size : body]),
        payload=segment[body:],
        tos=tos,
        ttl=ttl,
    )


def flags_of(letters: str) -> int:
    """Return the bits of flags as scripts write them; `-` is none, `A` the AE bit and `W` CWR."""
    bits = 0
    for letter in letters.replace("-", "").replace("W", "C"):
        bits |= _ACCURATE if letter == "A" else 1 << FLAG_LETTERS.index(letter)
    return bits


def letters_of(flags: int) -> str:
    """Return flags as scripts write them: `S`, `.`, `FP.`."""
    order = "FSRPUEC"
    found = "".join(letter for letter in order if flags & 1 << FLAG_LETTERS.index(letter))
    found = found.replace("C", "W") + ("A" if flags & _ACCURATE else "")
    return found + ("." if flags & 0x10 else "") or "-"
