"""Segments as packets of a device hold them."""

from __future__ import annotations

from plait.wire.mptcp.dss import DATA_ACK, MAPPING, Dss
from plait.wire.segment import ACK, Segment

V4 = bytes((10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 1, 0))
V6 = bytes(15) + b"\1" + bytes(15) + b"\2" + V4[8:]


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
