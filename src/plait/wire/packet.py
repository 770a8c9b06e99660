"""Whole IP packets: what TUN devices, packet sockets and captures carry."""

from __future__ import annotations

from typing import Final, TypeAlias

from plait.addresses import V4_FLOW
from plait.errors import DecodeError
from plait.wire import icmp, tcp
from plait.wire.icmp import IcmpError, parse_icmp, parse_icmpv6
from plait.wire.ipv4 import HEADER_OCTETS as V4_HEADER
from plait.wire.ipv4 import ipv4_header, parse_ipv4
from plait.wire.ipv6 import HEADER_OCTETS as V6_HEADER
from plait.wire.ipv6 import ipv6_header, parse_ipv6
from plait.wire.segment import TTL, Buffer, Segment
from plait.wire.tcp import checksum_ok, parse_tcp, serialize_tcp, tcp_header

Packet: TypeAlias = Segment | IcmpError

_V4_ADDRESSES: Final = slice(12, 20)
_V6_ADDRESSES: Final = slice(8, 40)


def parse_packet(octets: Buffer, *, checksum_valid: bool = False) -> Packet:
    """Decode an IP packet that holds a TCP segment or an ICMP error about one.

    Raises DecodeError for everything else, and for wrong checksums.

    Args:
        octets: The packet; the segment's payload is a view of it.
        checksum_valid: The TCP checksum was verified already, or is not complete yet because the
            packet never left this machine.
    """
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
    header = tcp_header(segment, partial=True)
    return segment_header(segment, len(header) + segment.length) + header


def header_length(segment: Segment) -> int:
    """Return the octets of IP and TCP header that the segment needs."""
    ip = V4_HEADER if len(segment.flow) == V4_FLOW else V6_HEADER
    return ip + tcp.header_length(segment)
