"""UDP headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DecodeError, UsageError
from plait.wire.udp import parse_udp, udp_header

FLOW4 = bytes.fromhex("0a000001 0a000002 1388 1389")
FLOW6 = bytes(range(32)) + FLOW4[-4:]


@given(flow=st.sampled_from([FLOW4, FLOW6]), pieces=st.lists(st.binary(max_size=30), max_size=3))
def test_datagrams_survive(flow: bytes, pieces: list[bytes]) -> None:
    payload = b"".join(pieces)
    octets = udp_header(flow, tuple(pieces)) + payload
    assert octets[6:8] != b"\0\0"
    datagram = parse_udp(flow, octets + b"tail")
    assert (datagram.flow, bytes(datagram.payload)) == (flow, payload)


def test_damage_is_noticed_unless_there_is_no_checksum() -> None:
    octets = udp_header(FLOW4, (b"abc",)) + b"abd"
    with pytest.raises(DecodeError):
        parse_udp(FLOW4, octets)
    assert parse_udp(FLOW4, octets, checksum_valid=True).payload == b"abd"
    assert parse_udp(FLOW4, octets[:6] + b"\0\0" + octets[8:]).payload == b"abd"


def test_a_checksum_of_zero_is_sent_as_ones() -> None:
    bare = udp_header(FLOW4, (b"\0\0",))
    filler = int.from_bytes(bare[6:8], "big").to_bytes(2, "big")
    assert udp_header(FLOW4, (filler,))[6:8] == b"\xff\xff"


@pytest.mark.parametrize("octets", [bytes(7), b"\0" * 4 + b"\0\x07\0\0", b"\0" * 4 + b"\0\x09\0\0"])
def test_broken_header(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_udp(FLOW4, octets)


def test_too_long_a_datagram_is_misuse() -> None:
    with pytest.raises(UsageError):
        udp_header(FLOW4, (bytes(65_528),))
