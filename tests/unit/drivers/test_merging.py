from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.merging import Merger, packets
from plait.host.output import split
from plait.wire.mptcp.dss import DATA_ACK, MAPPING, Dss
from plait.wire.packet import parse_packet, serialize_packet
from plait.wire.segment import ACK, CWR, FIN, PSH, SYN, Segment

V4 = bytes((10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 1, 0))
V6 = bytes(15) + b"\1" + bytes(15) + b"\2" + V4[8:]
V4_SECOND = bytes((10, 0, 0, 1, 10, 0, 0, 2, 0, 81, 1, 0))


def make(
    length: int, size: int, *, flow: bytes = V4, seq: int = 1000, flags: int = ACK, at: int = 0
) -> Segment:
    data = bytes(octet & 0xFF for octet in range(at, at + length))
    cut = length // 3
    payload = tuple(memoryview(data)[part] for part in (slice(cut), slice(cut, None)))
    segment = Segment(flow, seq, 7, flags, 99, tuple(part for part in payload if part), length)
    segment.segment_size = size
    segment.dss = Dss(DATA_ACK | MAPPING, 1, 2, 3, 60_000)
    segment.ts_val = 11
    segment.ts_ecr = 12
    return segment


def merge(octets: list[bytes]) -> list[Segment]:
    """Do what the driver does with the packets of one burst."""
    merger = Merger()
    segments = []
    for packet in octets:
        if not merger.extend(packet):
            parsed = parse_packet(packet)
            assert isinstance(parsed, Segment)
            merger.begin(packet, parsed)
            segments.append(parsed)
    merger.finish()
    return segments


@given(
    length=st.integers(2, 5000),
    size=st.integers(1, 1500),
    flow=st.sampled_from((V4, V6)),
    flags=st.sampled_from((ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR)),
    seq=st.sampled_from((0, 1000, (1 << 32) - 100)),
)
def test_packets_are_those_of_split(
    length: int, size: int, flow: bytes, flags: int, seq: int
) -> None:
    whole = make(length, size, flow=flow, flags=flags, seq=seq)
    assert [b"".join(pieces) for pieces in packets(whole)] == [
        serialize_packet(piece) for piece in split(whole)
    ]


@given(
    length=st.integers(2, 5000),
    size=st.integers(1, 1500),
    flow=st.sampled_from((V4, V6)),
    push=st.booleans(),
)
def test_merging_undoes_cutting(length: int, size: int, flow: bytes, push: bool) -> None:
    whole = make(length, size, flow=flow, flags=ACK | PSH if push else ACK)
    (merged,) = merge([b"".join(pieces) for pieces in packets(whole)])
    assert b"".join(merged.payload) == b"".join(whole.payload)
    assert merged.segment_size == (size if size < length else 0)
    for name in ("flow", "seq", "ack", "flags", "window", "length", "ts_val", "ts_ecr", "dss"):
        assert getattr(merged, name) == getattr(whole, name), name


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
    assert len(merge([serialize_packet(first), serialize_packet(second)])) == 1
    alter(second)
    assert [
        segment.length for segment in merge([serialize_packet(first), serialize_packet(second)])
    ] == [100, 100]


@pytest.mark.parametrize(
    ("lengths", "flags", "merged"),
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
    lengths: tuple[int, ...], flags: tuple[int, ...], merged: list[int]
) -> None:
    octets = []
    at = 0
    for length, flag in zip(lengths, flags, strict=True):
        octets.append(serialize_packet(make(length, 0, seq=1000 + at, flags=flag, at=at)))
        at += length
    assert [segment.length for segment in merge(octets)] == merged


@pytest.mark.parametrize("flow", [V4, V6])
@pytest.mark.parametrize("at", [2, 10, -1])
def test_a_damaged_packet_is_not_merged(flow: bytes, at: int) -> None:
    merger = Merger()
    first = serialize_packet(make(100, 0, flow=flow))
    parsed = parse_packet(first)
    assert isinstance(parsed, Segment)
    merger.begin(first, parsed)
    second = bytearray(serialize_packet(make(100, 0, flow=flow, seq=1100, at=100)))
    second[at] ^= 1
    assert not merger.extend(bytes(second))
    merger.finish()
    assert parsed.length == 100


def test_what_was_handed_over_is_not_touched_again() -> None:
    merger = Merger()
    first = serialize_packet(make(100, 0))
    parsed = parse_packet(first)
    assert isinstance(parsed, Segment)
    merger.begin(first, parsed)
    merger.finish()
    assert not merger.extend(serialize_packet(make(100, 0, seq=1100, at=100)))
    assert parsed.length == 100
