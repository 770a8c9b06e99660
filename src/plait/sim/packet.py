"""What travels over simulated links: segments, ICMP errors, and octets nobody looks into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from plait.addresses import V4_FLOW
from plait.units import Octets
from plait.wire import icmp, tcp
from plait.wire.checksum import internet_checksum
from plait.wire.icmp import IcmpError
from plait.wire.packet import header_length, ip_header, parse_packet, serialize_packet
from plait.wire.segment import Segment, piece_of

CE: Final = 3
"""Congestion experienced (RFC 3168, 5)."""

EXPERIMENT: Final = 253
"""The IP protocol of traffic that is not TCP (RFC 3692, 2.1)."""

_ICMP_HEADER: Final = 8
_QUOTED: Final = 8


@dataclass(init=False, slots=True)
class Opaque:
    """A packet that only takes room: cross traffic, or a segment damaged beyond recognition."""

    flow: bytes
    """As of a segment; ports name the flow of cross traffic."""

    octets: Octets
    """Its size, headers counted."""

    content: bytes
    """The whole packet if it was a segment, else empty."""

    def __init__(self, flow: bytes, octets: Octets, content: bytes = b"") -> None:
        self.flow = flow
        self.octets = octets
        self.content = content


Packet: TypeAlias = Segment | IcmpError | Opaque


def packet_octets(packet: Packet) -> Octets:
    """Return the size of a packet, headers counted."""
    if isinstance(packet, Segment):
        return header_length(packet) + packet.length
    if isinstance(packet, Opaque):
        return packet.octets
    return (20 if packet.version == 4 else 40) + _ICMP_HEADER + _quote_octets(packet)


def packet_source(packet: Packet) -> bytes:
    """Return the packed source address; that of an ICMP error is taken to be the far end's."""
    flow = packet.flow
    size = 4 if len(flow) == V4_FLOW else 16
    return flow[size : 2 * size] if isinstance(packet, IcmpError) else flow[:size]


def packet_destination(packet: Packet) -> bytes:
    """Return the packed destination address; an ICMP error goes to the source of what it quotes."""
    flow = packet.flow
    size = 4 if len(flow) == V4_FLOW else 16
    return flow[:size] if isinstance(packet, IcmpError) else flow[size : 2 * size]


def too_big(packet: Segment, mtu: Octets) -> IcmpError:
    """Return the error that says that `packet` does not fit (RFC 1191, 4; RFC 8201, 4)."""
    if len(packet.flow) == V4_FLOW:
        version, kind, code = 4, icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED
    else:
        version, kind, code = 6, icmp.PACKET_TOO_BIG_V6, 0
    return IcmpError(
        version=version, type=kind, code=code, mtu=mtu, flow=packet.flow, seq=packet.seq
    )


def unreachable(packet: Segment) -> IcmpError:
    """Return the error that says that no route leads to the packet's destination."""
    if len(packet.flow) == V4_FLOW:
        version, kind = 4, icmp.DESTINATION_UNREACHABLE
    else:
        version, kind = 6, icmp.DESTINATION_UNREACHABLE_V6
    return IcmpError(version=version, type=kind, code=0, mtu=0, flow=packet.flow, seq=packet.seq)


def marked(packet: Packet) -> Packet | None:
    """Return a copy that says that there is congestion, or None if it cannot (RFC 3168, 5)."""
    if not isinstance(packet, Segment) or packet.ecn == 0:
        return None
    return replace_ecn(packet, CE)


def copy_segment(segment: Segment) -> Segment:
    """Return a segment to be changed: packets on their way are shared and never changed."""
    twin = piece_of(segment, segment.seq, segment.flags, segment.payload, segment.length)
    twin.segment_size = segment.segment_size
    return twin


def replace_ecn(segment: Segment, ecn: int) -> Segment:
    """Return a copy with another ECN field."""
    twin = copy_segment(segment)
    twin.ecn = ecn
    return twin


def serialize(packet: Packet) -> bytes:
    """Return the whole IP packet, as captures hold it."""
    if isinstance(packet, Segment):
        return serialize_packet(packet)
    if isinstance(packet, Opaque):
        if packet.content:
            return packet.content
        length = packet.octets - (20 if len(packet.flow) == V4_FLOW else 40)
        return ip_header(packet.flow, length, 0, protocol=EXPERIMENT) + bytes(length)
    return _serialize_error(packet)


def reparse(packet: Packet) -> Packet:
    """Return what a peer would make of the packet's octets; cross traffic stays what it is.

    Raises DecodeError if it is not what it claims to be.
    """
    if isinstance(packet, Opaque):
        return packet
    return parse_packet(serialize(packet))


def _quote_octets(error: IcmpError) -> Octets:
    return (20 if error.version == 4 else 40) + _QUOTED


def _serialize_error(error: IcmpError) -> bytes:
    """Return an ICMP message that quotes IP header, ports and sequence number."""
    flow = error.flow
    addresses = flow[:-4]
    size = len(addresses) // 2
    back = addresses[size:] + addresses[:size] + bytes(4)
    quoted = ip_header(flow, 20, 0) + flow[-4:] + error.seq.to_bytes(4, "big")
    body = error.mtu.to_bytes(4, "big") + quoted
    length = 4 + len(body)
    if error.version == 4:
        protocol, initial = icmp.PROTOCOL, 0
    else:
        protocol, initial = icmp.PROTOCOL_V6, tcp.pseudo_sum(back, length, icmp.PROTOCOL_V6)
    head = bytes((error.type, error.code))
    checksum = internet_checksum((head, b"\0\0", body), initial).to_bytes(2, "big")
    return ip_header(back, length, 0, protocol=protocol) + head + checksum + body
