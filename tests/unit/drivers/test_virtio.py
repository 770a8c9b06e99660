from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.virtio import DATA_VALID, HEADER_OCTETS, NEEDS_CSUM, decode, encode
from plait.wire.segment import ACK, CWR, Segment

V4 = bytes((10, 99, 5, 1, 10, 99, 5, 2, 0, 80, 1, 0))
V6 = bytes(36)

# What a kernel wrote and accepted: flags, type, header length, size, start, offset.
SEEN = {
    "IPv4, 1440 apiece": (V4, ACK, 63_360, 1440, 60, "01 01 3c00 a005 1400 1000"),
    "IPv4, plain": (V4, ACK, 1000, 0, 60, "01 00 3c00 0000 1400 1000"),
    "IPv4, no more than a piece": (V4, ACK, 1440, 1440, 60, "01 00 3c00 0000 1400 1000"),
    "IPv4, CWR": (V4, ACK | CWR, 63_360, 1440, 60, "01 81 3c00 a005 1400 1000"),
    "IPv6": (V6, ACK, 28_400, 1420, 80, "01 04 5000 8c05 2800 1000"),
}


def make(flow: bytes, flags: int, length: int, size: int) -> Segment:
    segment = Segment(flow, 1, 2, flags, 3, (bytes(length),), length)
    segment.segment_size = size
    return segment


@pytest.mark.parametrize(
    ("flow", "flags", "length", "size", "header", "octets"), SEEN.values(), ids=SEEN.keys()
)
def test_header(flow: bytes, flags: int, length: int, size: int, header: int, octets: str) -> None:
    assert encode(make(flow, flags, length, size), header) == bytes.fromhex(octets)


@pytest.mark.parametrize(
    ("flags", "trusted"), [(0, False), (NEEDS_CSUM, True), (DATA_VALID, True), (4, False)]
)
def test_checksum_is_trusted_as_the_flags_say(flags: int, trusted: bool) -> None:
    assert decode(bytes((flags,)) + bytes(9)) == (trusted, 0)


@given(size=st.integers(1, 9000), pieces=st.integers(2, 7), v4=st.booleans())
def test_decode_inverts_encode(size: int, pieces: int, v4: bool) -> None:
    octets = encode(make(V4 if v4 else V6, ACK, size * pieces, size), 60)
    assert len(octets) == HEADER_OCTETS
    assert decode(octets + bytes(20)) == (True, size)
