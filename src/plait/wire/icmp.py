"""ICMP and ICMPv6 errors about TCP segments (RFC 792; RFC 4443, 3; RFC 5927)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from plait.errors import DecodeError
from plait.wire import ipv4, ipv6, tcp
from plait.wire.checksum import internet_checksum
from plait.wire.segment import Buffer

PROTOCOL: Final = 1
PROTOCOL_V6: Final = 58

DESTINATION_UNREACHABLE: Final = 3
SOURCE_QUENCH: Final = 4
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12
PROTOCOL_UNREACHABLE: Final = 2
PORT_UNREACHABLE: Final = 3
FRAGMENTATION_NEEDED: Final = 4
"""Codes of DESTINATION_UNREACHABLE, like the two before."""

DESTINATION_UNREACHABLE_V6: Final = 1
PORT_UNREACHABLE_V6: Final = 4
"""Code of DESTINATION_UNREACHABLE_V6."""

PACKET_TOO_BIG_V6: Final = 2
TIME_EXCEEDED_V6: Final = 3
PARAMETER_PROBLEM_V6: Final = 4

_ERRORS: Final = frozenset(
    {DESTINATION_UNREACHABLE, SOURCE_QUENCH, TIME_EXCEEDED, PARAMETER_PROBLEM}
)
_ERRORS_V6: Final = frozenset(
    {
        DESTINATION_UNREACHABLE_V6,
        PACKET_TOO_BIG_V6,
        TIME_EXCEEDED_V6,
        PARAMETER_PROBLEM_V6,
    }
)

_HEADER: Final = struct.Struct("!BBHI")
_QUOTED_TCP: Final = 8
"""Octets of the TCP header that every error quotes at least: ports and sequence number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpError:
    """A router or host could not pass on a segment that claims to be ours."""

    version: int
    """4 or 6: which protocol `type` and `code` belong to."""

    type: int
    code: int
    mtu: int
    """Next-hop MTU in octets if the segment was too big, else 0."""

    flow: bytes
    """The flow of the segment as it was sent: its source is this host."""

    seq: int
    """SEG.SEQ of the segment, by which guessed errors are told from true ones (RFC 5927, 4)."""


def parse_icmp(octets: Buffer) -> IcmpError:
    """Decode an ICMP message.  Raises DecodeError unless it is an error about a TCP segment."""
    kind, code, rest = _check(octets, 0, _ERRORS)
    mtu = 0
    if kind == DESTINATION_UNREACHABLE and code == FRAGMENTATION_NEEDED:
        mtu = rest & 0xFFFF
    quoted = octets[_HEADER.size :]
    if len(quoted) < ipv4.HEADER_OCTETS or quoted[0] >> 4 != 4:
        raise DecodeError("ICMP error without an IPv4 header", _HEADER.size)
    start = (quoted[0] & 0x0F) * 4
    if quoted[9] != tcp.PROTOCOL or start < ipv4.HEADER_OCTETS:
        raise DecodeError("ICMP error about something but TCP", _HEADER.size + 9)
    if int.from_bytes(quoted[6:8], "big") & 0x1FFF:
        raise DecodeError("ICMP error about a later fragment", _HEADER.size + 6)
    flow, seq = _quoted_tcp(quoted, start, bytes(quoted[12:20]))
    return IcmpError(version=4, type=kind, code=code, mtu=mtu, flow=flow, seq=seq)


def parse_icmpv6(addresses: bytes, octets: Buffer) -> IcmpError:
    """Decode an ICMPv6 message.  Raises DecodeError unless it is an error about a TCP segment.

    Args:
        addresses: Source, then destination of the packet that carried it; the checksum needs them.
    """
    initial = tcp.pseudo_sum(addresses + bytes(4), len(octets), PROTOCOL_V6)
    kind, code, rest = _check(octets, initial, _ERRORS_V6)
    quoted = octets[_HEADER.size :]
    if len(quoted) < ipv6.HEADER_OCTETS or quoted[0] >> 4 != 6:
        raise DecodeError("ICMPv6 error without an IPv6 header", _HEADER.size)
    if quoted[6] != tcp.PROTOCOL:  # plait sends no extension headers
        raise DecodeError("ICMPv6 error about something but TCP", _HEADER.size + 6)
    flow, seq = _quoted_tcp(quoted, ipv6.HEADER_OCTETS, bytes(quoted[8:40]))
    mtu = rest if kind == PACKET_TOO_BIG_V6 else 0
    return IcmpError(version=6, type=kind, code=code, mtu=mtu, flow=flow, seq=seq)


def _check(octets: Buffer, initial: int, errors: frozenset[int]) -> tuple[int, int, int]:
    """Return type, code and the 32 bits after the checksum of a sound error message."""
    if len(octets) < _HEADER.size:
        raise DecodeError("an ICMP header is 8 octets", 0)
    kind, code, _, rest = _HEADER.unpack_from(octets)
    if kind not in errors:
        raise DecodeError(f"ICMP type {kind} is not an error", 0)
    if internet_checksum((octets,), initial):
        raise DecodeError("wrong ICMP checksum", 2)
    return kind, code, rest


def _quoted_tcp(quoted: Buffer, start: int, addresses: bytes) -> tuple[bytes, int]:
    """Return flow and sequence number of the quoted segment."""
    head = bytes(quoted[start : start + _QUOTED_TCP])
    if len(head) < _QUOTED_TCP:
        raise DecodeError("ICMP error quotes too little", _HEADER.size + start)
    return addresses + head[:4], int.from_bytes(head[4:], "big")
