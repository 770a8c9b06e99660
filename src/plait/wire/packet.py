"""Whole IP packets: what TUN devices, packet sockets and captures carry.

Nearly all of a stream have one layout: IPv4 without options, timestamps, then a DSS.  Its headers
are decoded and encoded as one piece; whatever else comes, wrong packets too, goes the general way.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from plait.addresses import V4_FLOW
from plait.errors import DecodeError
from plait.wire import icmp, tcp
from plait.wire.checksum import fold
from plait.wire.icmp import IcmpError, parse_icmp, parse_icmpv6
from plait.wire.ipv4 import (
    DONT_FRAGMENT,
    FRAGMENT,
    MAX_PACKET,
    VERSION_AND_LENGTH,
    ipv4_header,
    parse_ipv4,
)
from plait.wire.ipv4 import HEADER_OCTETS as V4_HEADER
from plait.wire.ipv6 import HEADER_OCTETS as V6_HEADER
from plait.wire.ipv6 import ipv6_header, parse_ipv6
from plait.wire.mptcp.dss import BODIES, parse_dss_at
from plait.wire.packing import PADDING
from plait.wire.segment import TTL, Buffer, Segment
from plait.wire.tcp import checksum_ok, parse_tcp, serialize_tcp, tcp_header

Packet: TypeAlias = Segment | IcmpError

_V4_ADDRESSES: Final = slice(12, 20)
_V6_ADDRESSES: Final = slice(8, 40)

_HEADERS: Final = struct.Struct("!BBHHHBBH8s4sIIBBHHHIII")
"""IPv4 and TCP header, and timestamps."""

_USUAL: Final = struct.Struct(_HEADERS.format + "I")
"""The same, and the head of a DSS."""

_USUAL_OCTETS: Final = _USUAL.size
_TCP_OCTETS: Final = _HEADERS.size - V4_HEADER
_MOST: Final = MAX_PACKET - 80
"""Octets of payload that fit in a packet whatever its headers are."""


def parse_packet(octets: Buffer, *, checksum_valid: bool = False) -> Packet:
    """Decode an IP packet that holds a TCP segment or an ICMP error about one.

    Raises DecodeError for everything else, and for wrong checksums.

    Args:
        octets: The packet; the segment's payload is a view of it.
        checksum_valid: The TCP checksum was verified already, or is not complete yet because the
            packet never left this machine.
    """
    segment = _parse_usual(octets, checksum_valid) if len(octets) >= _USUAL_OCTETS else None
    return _parse_any(octets, checksum_valid) if segment is None else segment


def _parse_usual(octets: Buffer, checksum_valid: bool) -> Segment | None:
    """Decode a whole segment of the usual layout; return None for all others."""
    # fmt: off
    (
        first, tos, total, _, fragment, _, protocol, _, addresses,
        ports, seq, ack, offset, flags, window, _, urgent, timestamps, value, echo, head,
    ) = _USUAL.unpack_from(octets)
    # fmt: on
    form = BODIES.get(head)
    if form is None or timestamps != tcp.NOP_NOP_TIMESTAMPS or first != VERSION_AND_LENGTH:
        return None
    end = _USUAL_OCTETS + form.size
    body = V4_HEADER + (offset >> 4) * 4
    if not end <= body <= total == len(octets) or octets[end:body] != PADDING[end & 3]:
        return None
    if protocol != tcp.PROTOCOL or fragment & FRAGMENT:
        return None
    if int.from_bytes(octets[:V4_HEADER], "big") % 0xFFFF:
        return None
    flow: bytes = addresses + ports
    if not checksum_valid and not checksum_ok(flow, memoryview(octets)[V4_HEADER:]):
        return None
    if body < total:
        payload = (memoryview(octets)[body:],)
        segment = Segment(flow, seq, ack, flags, window, payload, total - body)
    else:
        segment = Segment(flow, seq, ack, flags, window)
    segment.urgent = urgent
    segment.ts_val = value
    segment.ts_ecr = echo
    segment.dss = parse_dss_at(octets, _USUAL_OCTETS - 4, head, form)
    segment.ecn = tos & 3
    return segment


def _parse_any(octets: Buffer, checksum_valid: bool) -> Packet:
    """Decode any packet."""
    version = octets[0] >> 4 if len(octets) else 0
    if version == 4:
        protocol, start, stop, ecn = parse_ipv4(octets)
        addresses = bytes(octets[_V4_ADDRESSES])
    elif version == 6:
        protocol, start, stop, ecn = parse_ipv6(octets)
        addresses = bytes(octets[_V6_ADDRESSES])
    else:
        raise DecodeError(f"IP version {version}", 0)
    if protocol != tcp.PROTOCOL:
        return _parse_error(version, protocol, addresses, memoryview(octets)[start:stop])
    flow = addresses + bytes(octets[start : start + 4])
    if not checksum_valid and not checksum_ok(flow, memoryview(octets)[start:stop]):
        raise DecodeError("wrong TCP checksum", start + tcp.CHECKSUM_OFFSET)
    segment = parse_tcp(flow, octets, start, stop)
    segment.ecn = ecn
    return segment


def _parse_error(version: int, protocol: int, addresses: bytes, octets: Buffer) -> IcmpError:
    """Decode what is not TCP."""
    if version == 4 and protocol == icmp.PROTOCOL:
        return parse_icmp(octets)
    if version == 6 and protocol == icmp.PROTOCOL_V6:
        return parse_icmpv6(addresses, octets)
    raise DecodeError(f"IP protocol {protocol}", 0)


def ip_header(
    flow: bytes,
    length: int,
    tos: int,
    ttl: int = TTL,
    identification: int = 0,
    protocol: int = tcp.PROTOCOL,
) -> bytes:
    """Return the IP header of a packet on `flow`: do not fragment.

    Args:
        flow: Addresses and ports.
        length: Octets after it, transport header included.
        tos: Type of service or traffic class, ECN bits included.
        ttl: Time to live or hop limit.
        protocol: Of what follows.
        identification: Of IPv4 only.
    """
    if len(flow) == V4_FLOW:
        return ipv4_header(flow[:8], length, protocol, tos, ttl, identification)
    return ipv6_header(flow[:32], length, protocol, tos, ttl)


def segment_header(segment: Segment, length: int) -> bytes:
    """Return the IP header of a segment, or of a piece of it.

    Args:
        segment: Whose flow and marks it bears.
        length: Octets after it, TCP header included.
    """
    marking = segment.marking
    return ip_header(segment.flow, length, marking.tos | segment.ecn, marking.ttl)


def serialize_packet(segment: Segment) -> bytes:
    """Return the whole packet with complete checksums."""
    octets = serialize_tcp(segment)
    return segment_header(segment, len(octets)) + octets


def headers(segment: Segment) -> bytes:
    """Return IP and TCP header for a kernel that completes checksums and cuts super-segments.

    The TCP checksum field holds the sum of the pseudo-header over the whole length, which is what
    virtio-net's NEEDS_CSUM asks for.
    """
    usual = segment.ts_val >= 0 and len(segment.flow) == V4_FLOW and segment.length <= _MOST
    if usual and not segment.options and not segment.sack:
        return _usual_headers(segment)
    header = tcp_header(segment, partial=True)
    return segment_header(segment, len(header) + segment.length) + header


def _usual_headers(segment: Segment) -> bytes:
    """Return the same for IPv4 and timestamps, with or without a DSS, by half of the work."""
    area = b""
    if segment.dss is not None:
        area = segment.dss.serialize()
        area += PADDING[len(area) & 3]
    size = _TCP_OCTETS + len(area)
    total = V4_HEADER + size + segment.length
    flow = segment.flow
    addresses = flow[:8]
    number = int.from_bytes(addresses, "big")
    marking = segment.marking
    tos = marking.tos | segment.ecn
    words = (
        (VERSION_AND_LENGTH << 8 | tos)
        + total
        + DONT_FRAGMENT
        + (marking.ttl << 8 | tcp.PROTOCOL)
        + number
    )
    head = _HEADERS.pack(
        VERSION_AND_LENGTH,
        tos,
        total,
        0,
        DONT_FRAGMENT,
        marking.ttl,
        tcp.PROTOCOL,
        -words % 0xFFFF,
        addresses,
        flow[8:],
        segment.seq,
        segment.ack,
        size << 2,
        segment.flags,
        segment.window,
        fold(number + tcp.PROTOCOL + size + segment.length),
        segment.urgent,
        tcp.NOP_NOP_TIMESTAMPS,
        segment.ts_val,
        segment.ts_ecr,
    )
    return head + area


def header_length(segment: Segment) -> int:
    """Return the octets of IP and TCP header that the segment needs."""
    ip = V4_HEADER if len(segment.flow) == V4_FLOW else V6_HEADER
    return ip + tcp.header_length(segment)
