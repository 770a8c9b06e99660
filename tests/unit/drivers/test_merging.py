from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.whole_segments import V4, V6, make

from plait.drivers.cutting import packets
from plait.drivers.merging import merge
from plait.host.output import split
from plait.wire.checksum import internet_checksum
from plait.wire.icmp import IcmpError
from plait.wire.mptcp.dss import DATA_ACK, MAPPING, Dss
from plait.wire.packet import ip_header, serialize_packet
from plait.wire.segment import ACK, FIN, PSH, SYN, Segment

V4_SECOND = bytes((10, 0, 0, 1, 10, 0, 0, 2, 0, 81, 1, 0))


def merged(packets: list[bytes], *, checksum_valid: bool = False) -> list[Segment]:
    """Return the segments of one burst without malformed packets."""
    segments: list[Segment] = []
    assert merge(packets, segments, [], checksum_valid=checksum_valid) == 0
    return segments


@given(
    length=st.integers(2, 5000),
    size=st.integers(1, 1500),
    flow=st.sampled_from((V4, V6)),
    push=st.booleans(),
)
def test_merging_undoes_cutting(length: int, size: int, flow: bytes, push: bool) -> None:
    whole = make(length, size, flow=flow, flags=ACK | PSH if push else ACK)
    (one,) = merged([b"".join(pieces) for pieces in packets(whole)])
    assert b"".join(one.payload) == b"".join(whole.payload)
    assert one.segment_size == (size if size < length else 0)
    for name in ("flow", "seq", "ack", "flags", "window", "length", "ts_val", "ts_ecr", "dss"):
        assert getattr(one, name) == getattr(whole, name), name


def change(name: str, value: object) -> Callable[[Segment], None]:
    return lambda segment: setattr(segment, name, value)


APART: dict[str, Callable[[Segment], None]] = {
    "a gap": change("seq", 1101),
    "a repetition": change("seq", 1000),
    "other acknowledgment": change("ack", 8),
    "other window": change("window", 98),
    "other timestamp": change("ts_val", 13),
    "other mapping": change("dss", Dss(DATA_ACK | MAPPING, 1, 102, 103, 60_000)),
    "no mapping": change("dss", None),
    "SYN": change("flags", ACK | SYN),
    "FIN": change("flags", ACK | FIN),
    "other flow": change("flow", V4_SECOND),
    "congestion experienced": change("ecn", 3),
    "urgent": change("urgent", 1),
}


@pytest.mark.parametrize("alter", APART.values(), ids=APART.keys())
def test_what_differs_stays_apart(alter: Callable[[Segment], None]) -> None:
    first, second = make(100, 0), make(100, 0, seq=1100, at=100)
    assert len(merged([serialize_packet(first), serialize_packet(second)])) == 1
    alter(second)
    assert [
        segment.length for segment in merged([serialize_packet(first), serialize_packet(second)])
    ] == [100, 100]


@pytest.mark.parametrize(
    ("lengths", "flags", "found"),
    [
        ((100, 100, 100), (ACK, ACK, ACK), [300]),
        ((100, 50, 100), (ACK, ACK, ACK), [150, 100]),
        ((50, 100, 100), (ACK, ACK, ACK), [50, 200]),
        ((100, 100, 100), (ACK, ACK | PSH, ACK), [200, 100]),
        ((100, 100, 100), (ACK | PSH, ACK, ACK), [100, 200]),
        ((100, 0, 100), (ACK, ACK, ACK), [100, 0, 100]),
        ((0, 0), (ACK, ACK), [0, 0]),
    ],
)
def test_where_super_segments_end(
    lengths: tuple[int, ...], flags: tuple[int, ...], found: list[int]
) -> None:
    octets = []
    at = 0
    for length, flag in zip(lengths, flags, strict=True):
        octets.append(serialize_packet(make(length, 0, seq=1000 + at, flags=flag, at=at)))
        at += length
    assert [segment.length for segment in merged(octets)] == found


@pytest.mark.parametrize(
    ("flow", "at"), [(V4, 2), (V4, 10), (V4, -1), (V6, 10), (V6, 56), (V6, -1)]
)
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_damaged_packet_ends_what_is_merged(flow: bytes, at: int, number: int) -> None:
    burst = [
        bytearray(serialize_packet(make(100, 0, flow=flow, seq=1000 + 100 * one, at=100 * one)))
        for one in range(5)
    ]
    burst[number][at] ^= 1
    segments: list[Segment] = []
    assert merge([bytes(packet) for packet in burst], segments, []) == 1
    assert [one.length for one in segments] == [
        length for length in (100 * number, 100 * (4 - number)) if length
    ]


def test_checksums_that_others_verified_are_not_looked_at() -> None:
    burst = [bytearray(serialize_packet(make(100, 0, seq=1000 + 100 * one))) for one in range(3)]
    for packet in burst:
        packet[-1] ^= 1
    assert merge([bytes(packet) for packet in burst], [], []) == 3
    (one,) = merged([bytes(packet) for packet in burst], checksum_valid=True)
    assert one.length == 300


def test_octets_behind_a_packet_are_not_payload() -> None:
    burst = [serialize_packet(make(100, 0, seq=1000 + 100 * one)) + bytes(4) for one in range(3)]
    assert [one.length for one in merged(burst)] == [100, 100, 100]


def test_icmp_errors_among_segments_are_told() -> None:
    segment = serialize_packet(make(100, 0))
    message = bytes((3, 4, 0, 0)) + (1400).to_bytes(4, "big") + segment[:28]
    message = message[:2] + internet_checksum((message,)).to_bytes(2, "big") + message[4:]
    error = ip_header(V4, len(message), 0, protocol=1) + message
    errors: list[IcmpError] = []
    segments: list[Segment] = []
    assert merge([segment, error, segment], segments, errors) == 0
    assert len(segments) == 2
    assert [one.mtu for one in errors] == [1400]


@given(
    lengths=st.lists(st.integers(0, 300), min_size=1, max_size=12),
    data=st.data(),
    flow=st.sampled_from((V4, V6)),
)
def test_merging_changes_nothing_but_the_number_of_segments(
    lengths: list[int], data: st.DataObject, flow: bytes
) -> None:
    burst: list[bytes] = []
    seq = 1000
    size = 300
    for length in (one if data.draw(st.booleans()) else size for one in lengths):
        flags = data.draw(st.sampled_from((ACK, ACK, ACK, ACK | PSH, ACK | FIN)))
        piece = make(length, 0, flow=flow, seq=seq, flags=flags, at=seq)
        packet = bytearray(serialize_packet(piece))
        if data.draw(st.integers(0, 9)) == 0:
            packet[data.draw(st.integers(0, len(packet) - 1))] ^= data.draw(st.integers(1, 255))
        burst.append(bytes(packet))
        seq += length
    segments: list[Segment] = []
    malformed = merge(burst, segments, [])
    alone: list[Segment] = []
    assert sum(merge([packet], alone, []) for packet in burst) == malformed
    assert [facts(piece) for one in segments for piece in split(one)] == [
        facts(one) for one in alone
    ]


def facts(segment: Segment) -> tuple[object, ...]:
    names = ("flow", "seq", "ack", "flags", "window", "length", "ts_val", "ts_ecr", "dss", "ecn")
    return b"".join(segment.payload), *(getattr(segment, name) for name in names)


def test_headers_are_verified_even_where_payloads_are_trusted() -> None:
    burst = [bytearray(serialize_packet(make(100, 0, seq=1000 + 100 * one))) for one in range(4)]
    burst[2][4] ^= 1  # the identification, which may differ if the checksum of IPv4 says so
    segments: list[Segment] = []
    packets_ = [bytes(packet) for packet in burst]
    assert merge(packets_, segments, [], checksum_valid=True) == 1
    assert [one.length for one in segments] == [200, 100]
