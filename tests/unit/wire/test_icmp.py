"""ICMP errors about our segments."""

from __future__ import annotations

import struct

import pytest

from plait.errors import DecodeError
from plait.wire.checksum import internet_checksum
from plait.wire.icmp import IcmpError, parse_icmp, parse_icmpv6
from plait.wire.packet import ip_header, parse_packet, serialize_packet
from plait.wire.segment import ACK, Segment
from plait.wire.tcp import pseudo_sum

FLOW4 = bytes.fromhex("0a000001 0a000002 9c40 0050")
FLOW6 = bytes(range(32)) + bytes.fromhex("9c400050")
ROUTER4 = bytes.fromhex("0a0000fe 0a000001") + bytes(4)
ROUTER6 = bytes(16) + bytes(range(16)) + bytes(4)
QUOTED4 = serialize_packet(Segment(FLOW4, 77, 2, ACK, 3))
QUOTED6 = serialize_packet(Segment(FLOW6, 77, 2, ACK, 3))


def icmp(kind: int, code: int, rest: int, quoted: bytes) -> bytes:
    bare = struct.pack("!BBHI", kind, code, 0, rest) + quoted
    field = internet_checksum((bare,))
    return struct.pack("!BBHI", kind, code, field, rest) + quoted


def icmpv6(kind: int, code: int, rest: int, quoted: bytes) -> bytes:
    bare = struct.pack("!BBHI", kind, code, 0, rest) + quoted
    field = internet_checksum((bare,), pseudo_sum(ROUTER6, len(bare), 58))
    return struct.pack("!BBHI", kind, code, field, rest) + quoted


ERRORS = {
    "port unreachable": (icmp(3, 3, 0, QUOTED4), (4, 3, 3, 0, FLOW4)),
    "fragmentation needed": (icmp(3, 4, 1400, QUOTED4), (4, 3, 4, 1400, FLOW4)),
    "only 8 octets quoted": (icmp(3, 1, 0, QUOTED4[:28]), (4, 3, 1, 0, FLOW4)),
    "time exceeded": (icmp(11, 0, 0, QUOTED4), (4, 11, 0, 0, FLOW4)),
    "source quench": (icmp(4, 0, 0, QUOTED4), (4, 4, 0, 0, FLOW4)),
    "no route, version 6": (icmpv6(1, 0, 0, QUOTED6), (6, 1, 0, 0, FLOW6)),
    "packet too big": (icmpv6(2, 0, 1280, QUOTED6), (6, 2, 0, 1280, FLOW6)),
}


@pytest.mark.rfc("9293", "3.9.2.2", "B9293-16")
@pytest.mark.parametrize(("octets", "fields"), ERRORS.values(), ids=ERRORS.keys())
def test_error(octets: bytes, fields: tuple[int, int, int, int, bytes]) -> None:
    version, kind, code, mtu, flow = fields
    router = ROUTER4 if version == 4 else ROUTER6
    protocol = 1 if version == 4 else 58
    packet = ip_header(router, len(octets), 0, protocol=protocol) + octets
    assert parse_packet(packet) == IcmpError(
        version=version, type=kind, code=code, mtu=mtu, flow=flow, seq=77
    )


UDP_QUOTED = QUOTED4[:9] + b"\x11" + QUOTED4[10:]
FRAGMENT_QUOTED = QUOTED4[:6] + b"\x00\x10" + QUOTED4[8:]
IGNORED = {
    "echo": icmp(8, 0, 0, QUOTED4),
    "too short": icmp(3, 3, 0, b"")[:7],
    "nothing quoted": icmp(3, 3, 0, b""),
    "no ports quoted": icmp(3, 3, 0, QUOTED4[:27]),
    "about UDP": icmp(3, 3, 0, UDP_QUOTED),
    "about a later fragment": icmp(3, 3, 0, FRAGMENT_QUOTED),
    "version 6 quoted": icmp(3, 3, 0, QUOTED6),
    "checksum": icmp(3, 3, 0, QUOTED4)[:-1] + b"\xaa",
}


@pytest.mark.parametrize("octets", IGNORED.values(), ids=IGNORED.keys())
def test_not_an_error_about_tcp(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_icmp(octets)


IGNORED_V6 = {
    "neighbor solicitation": icmpv6(135, 0, 0, QUOTED6),
    "nothing quoted": icmpv6(1, 0, 0, b""),
    "version 4 quoted": icmpv6(1, 0, 0, QUOTED4 + bytes(20)),
    "about UDP": icmpv6(1, 0, 0, QUOTED6[:6] + b"\x11" + QUOTED6[7:]),
    "checksum": icmpv6(1, 0, 0, QUOTED6)[:-1] + b"\xaa",
}


@pytest.mark.parametrize("octets", IGNORED_V6.values(), ids=IGNORED_V6.keys())
def test_not_an_error_about_tcp_in_version_6(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_icmpv6(ROUTER6[:32], octets)
