"""Captures in both formats: round trips, foreign byte orders, damage."""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DecodeError
from plait.trace.pcap import (
    ETHERNET,
    LINUX_SLL2,
    RAW,
    PcapngWriter,
    PcapWriter,
    Record,
    read_pcap,
)
from plait.units import SECOND

CAPTURES = sorted((Path(__file__).parents[2] / "data" / "captures").glob("*.pcap"))
Writer = type[PcapWriter] | type[PcapngWriter]
WRITERS: list[Writer] = [PcapWriter, PcapngWriter]

frames = st.lists(st.tuples(st.integers(0, (1 << 32) * SECOND - 1), st.binary(max_size=70)))


def written(writer: Writer, frames: list[tuple[int, bytes]], link_type: int = RAW) -> bytes:
    file = io.BytesIO()
    capture = writer(file, link_type)
    for now, octets in frames:
        capture.write(now, octets)
    return file.getvalue()


def read(octets: bytes) -> list[Record]:
    return list(read_pcap(io.BytesIO(octets)))


@pytest.mark.parametrize("writer", WRITERS)
@given(frames=frames, link_type=st.sampled_from([RAW, ETHERNET, LINUX_SLL2]))
def test_frames_survive(writer: Writer, frames: list[tuple[int, bytes]], link_type: int) -> None:
    expected = [Record(now, octets, link_type) for now, octets in frames]
    assert read(written(writer, frames, link_type)) == expected


@pytest.mark.parametrize("path", CAPTURES, ids=[path.stem for path in CAPTURES])
@pytest.mark.parametrize("writer", WRITERS)
def test_captures_of_tcpdump_survive(writer: Writer, path: Path) -> None:
    records = read(path.read_bytes())
    copied = written(writer, [(r.time, r.octets) for r in records], records[0].link_type)
    assert len(records) > 10
    assert all(a.time <= b.time for a, b in pairwise(records))
    assert read(copied) == records


def pcap(order: str, magic: int, fraction: int) -> bytes:
    return (
        struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, ETHERNET)
        + struct.pack(order + "IIII", 7, fraction, 3, 1500)
        + b"abc"
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("magic", "nanoseconds"), [(0xA1B2C3D4, 5000), (0xA1B23C4D, 5)], ids=["micro", "nano"]
)
def test_both_byte_orders_and_resolutions(order: str, magic: int, nanoseconds: int) -> None:
    assert read(pcap(order, magic, 5)) == [Record(7 * SECOND + nanoseconds, b"abc", ETHERNET)]


def block(order: str, kind: int, body: bytes) -> bytes:
    total = len(body) + 12
    return struct.pack(order + "II", kind, total) + body + struct.pack(order + "I", total)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHQ", 0x1A2B3C4D, 1, 0, 2**64 - 1))


def interface(order: str, link_type: int, snaplen: int = 0, options: bytes = b"") -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link_type, 0, snaplen) + options)


def enhanced(order: str, number: int, ticks: int, octets: bytes) -> bytes:
    head = struct.pack(
        order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), len(octets)
    )
    return block(order, 6, head + octets + bytes(-len(octets) % 4))


@pytest.mark.parametrize("order", "<>")
def test_pcapng_interfaces_have_their_own_clocks(order: str) -> None:
    binary = struct.pack(order + "HHB3x", 9, 1, 0x8A)  # 2 ** -10 seconds
    offset = struct.pack(order + "HHq", 14, 8, 100)
    octets = (
        section(order)
        + interface(order, ETHERNET)
        + interface(order, RAW, 0, binary + offset + bytes(4))
        + block(order, 5, bytes(12))  # interface statistics: skipped
        + enhanced(order, 0, 1_000_001, b"one")
        + enhanced(order, 1, 512, b"four")
    )
    assert read(octets) == [
        Record(SECOND + 1000, b"one", ETHERNET),
        Record(100 * SECOND + SECOND // 2, b"four", RAW),
    ]


@pytest.mark.parametrize(("snaplen", "kept"), [(0, b"packet"), (4, b"pack")])
def test_pcapng_simple_packets(snaplen: int, kept: bytes) -> None:
    body = struct.pack("<I", 6) + (kept + bytes(2) if snaplen == 0 else kept)
    octets = section("<") + interface("<", RAW, snaplen) + block("<", 3, body)
    assert read(octets) == [Record(0, kept, RAW)]


def test_pcapng_sections_may_change_byte_order() -> None:
    octets = b"".join(
        section(order) + interface(order, link_type) + enhanced(order, 0, 1, b"abcd")
        for order, link_type in ((">", RAW), ("<", ETHERNET))
    )
    assert [record.link_type for record in read(octets)] == [RAW, ETHERNET]


GOOD = written(PcapWriter, [(1, b"abc")])
GOOD_NG = section("<") + interface("<", RAW) + enhanced("<", 0, 1, b"abcd")
BROKEN = {
    "empty": (b"", 0),
    "text": (b"not a capture", 0),
    "pcap header": (GOOD[:23], 23),
    "pcap version": (GOOD[:4] + b"\x03" + GOOD[5:], 4),
    "pcap record header": (GOOD[:39], 24),
    "pcap record": (GOOD[:-1], 24),
    "pcap record length": (GOOD[:32] + b"\xff\xff\xff\x7f" + GOOD[36:], 32),
    "pcapng byte order": (section("<")[:8] + bytes(20), 8),
    "pcapng section": (section("<")[:-1], 0),
    "pcapng block type": (GOOD_NG + b"\x06\x00", len(GOOD_NG)),
    "pcapng block": (GOOD_NG[:-1], 48),
    "pcapng block length": (section("<") + struct.pack("<II", 1, 13), 32),
    "pcapng trailer": (section("<")[:-4] + bytes(4), 0),
    "pcapng unknown interface": (section("<") + enhanced("<", 0, 1, b""), 28),
    "pcapng simple packet first": (section("<") + block("<", 3, bytes(4)), 28),
    "pcapng short interface": (section("<") + block("<", 1, bytes(4)), 28),
    "pcapng packet too long": (
        section("<") + interface("<", RAW) + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 9, 9)),
        48,
    ),
}


@pytest.mark.parametrize(("octets", "offset"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_file_tells_where(octets: bytes, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        read(octets)
    assert caught.value.offset == offset


@given(
    good=st.sampled_from([GOOD, GOOD_NG]),
    at=st.integers(0, 90),
    change=st.binary(min_size=1, max_size=4),
    keep=st.integers(0, 99),
)
def test_any_octets_decode_or_raise(good: bytes, at: int, change: bytes, keep: int) -> None:
    file: BinaryIO = io.BytesIO((good[:at] + change + good[at + len(change) :])[:keep])
    try:
        records = list(read_pcap(file))
    except DecodeError:
        return
    assert len(records) <= 2
