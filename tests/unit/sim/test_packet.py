from __future__ import annotations

from dataclasses import fields
from ipaddress import ip_address

import pytest

from plait.sim.packet import (
    EXPERIMENT,
    Opaque,
    Packet,
    copy_segment,
    marked,
    packet_destination,
    packet_octets,
    packet_source,
    reparse,
    serialize,
    too_big,
    unreachable,
)
from plait.wire.icmp import IcmpError
from plait.wire.mptcp.dss import DATA_ACK, Dss
from plait.wire.segment import ACK, Segment
from plait.wire.tcp_options import Mss

ONE, OTHER = ip_address("10.0.0.1"), ip_address("10.0.0.2")
ONE6, OTHER6 = ip_address("fd00::1"), ip_address("fd00::2")
FLOW = ONE.packed + OTHER.packed + bytes((0x10, 0, 0, 80))
FLOW6 = ONE6.packed + OTHER6.packed + bytes((0x10, 0, 0, 80))


def make(flow: bytes = FLOW, length: int = 100) -> Segment:
    segment = Segment(flow, 7, 8, ACK, 9, (bytes(length),) if length else (), length)
    segment.ts_val, segment.ts_ecr = 3, 4
    segment.dss = Dss(DATA_ACK, 5)
    segment.ecn = 2
    return segment


PACKETS: dict[str, Packet] = {
    "segment": make(),
    "segment of IPv6": make(FLOW6),
    "pure ACK": make(length=0),
    "too big": too_big(make(), 1280),
    "too big of IPv6": too_big(make(FLOW6), 1280),
    "unreachable": unreachable(make()),
    "unreachable of IPv6": unreachable(make(FLOW6)),
    "cross traffic": Opaque(FLOW, 500),
    "cross traffic of IPv6": Opaque(FLOW6, 500),
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS.keys())
def test_the_size_is_that_of_the_octets(packet: Packet) -> None:
    assert packet_octets(packet) == len(serialize(packet))


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS.keys())
def test_octets_hold_all_of_a_packet(packet: Packet) -> None:
    again = reparse(packet)
    if isinstance(packet, Segment):
        assert isinstance(again, Segment)
        assert b"".join(again.payload) == b"".join(packet.payload)
        again.payload = packet.payload
    assert again == packet


def test_addresses() -> None:
    for flow, one, other in ((FLOW, ONE, OTHER), (FLOW6, ONE6, OTHER6)):
        segment = make(flow)
        assert packet_source(segment) == one.packed
        assert packet_destination(segment) == other.packed
        error = too_big(segment, 1280)
        assert packet_destination(error) == one.packed
        assert packet_source(error) == other.packed


def test_errors_tell_what_and_about_whom() -> None:
    error = too_big(make(), 1280)
    assert isinstance(error, IcmpError)
    assert (error.mtu, error.flow, error.seq) == (1280, FLOW, 7)
    assert unreachable(make()).mtu == 0


def test_cross_traffic_is_no_tcp() -> None:
    assert serialize(Opaque(FLOW, 100))[9] == EXPERIMENT


def test_a_copy_has_every_field_and_is_another() -> None:
    segment = make()
    segment.urgent, segment.sack, segment.options = 1, ((1, 2),), (Mss(3),)
    segment.segment_size = 50
    copy = copy_segment(segment)
    assert copy is not segment
    for field in fields(Segment):
        assert getattr(copy, field.name) == getattr(segment, field.name), field.name


@pytest.mark.rfc("3168", "5")
def test_only_capable_packets_are_marked_and_only_in_a_copy() -> None:
    segment = make()
    copy = marked(segment)
    assert isinstance(copy, Segment)
    assert (segment.ecn, copy.ecn) == (2, 3)
    segment.ecn = 0
    assert marked(segment) is None
    assert marked(Opaque(FLOW, 100)) is None
