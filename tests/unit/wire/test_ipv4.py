"""IPv4 headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DecodeError, UsageError
from plait.wire.checksum import internet_checksum
from plait.wire.ipv4 import ipv4_header, parse_ipv4

ADDRESSES = bytes.fromhex("0a0000010a000002")


def repaired(octets: bytes) -> bytes:
    """Return a header with the checksum that it should have."""
    start = (octets[0] & 15) * 4
    bare = octets[:10] + b"\0\0" + octets[12:]
    field = internet_checksum((bare[:start],)).to_bytes(2, "big")
    return bare[:10] + field + bare[12:]


@given(
    addresses=st.binary(min_size=8, max_size=8),
    length=st.integers(0, 300),
    protocol=st.integers(0, 255),
    tos=st.integers(0, 255),
    ttl=st.integers(1, 255),
    identification=st.integers(0, 65_535),
)
def test_headers_survive(
    addresses: bytes, length: int, protocol: int, tos: int, ttl: int, identification: int
) -> None:
    header = ipv4_header(addresses, length, protocol, tos, ttl, identification)
    assert (header[1], header[8]) == (tos, ttl)
    assert internet_checksum((header,)) == 0
    assert header == repaired(header)
    padded = header + bytes(length) + b"trailer"
    assert parse_ipv4(padded) == (protocol, 20, 20 + length, tos & 3)


def test_options_are_skipped() -> None:
    header = ipv4_header(ADDRESSES, 24, 6, 0)
    octets = repaired(b"\x46" + header[1:] + b"\x01\x01\x01\x00" + bytes(20))
    assert parse_ipv4(octets) == (6, 24, 44, 0)


PACKET = ipv4_header(ADDRESSES, 4, 6, 0) + bytes(4)
BROKEN = {
    "short": PACKET[:19],
    "version": repaired(b"\x55" + PACKET[1:]),
    "header length": repaired(b"\x44" + PACKET[1:]),
    "cut short": PACKET[:-1],
    "total length below the header": repaired(PACKET[:2] + b"\x00\x13" + PACKET[4:]),
    "first fragment": repaired(PACKET[:6] + b"\x20\x00" + PACKET[8:]),
    "later fragment": repaired(PACKET[:6] + b"\x00\x01" + PACKET[8:]),
    "checksum": PACKET[:8] + b"\x41" + PACKET[9:],
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN.keys())
def test_broken_header(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_ipv4(octets)


def test_too_long_a_packet_is_misuse() -> None:
    assert len(ipv4_header(ADDRESSES, 65_515, 6, 0)) == 20
    with pytest.raises(UsageError):
        ipv4_header(ADDRESSES, 65_516, 6, 0)
