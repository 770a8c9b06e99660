"""IPv6 headers and the chain of extension headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DecodeError, UsageError
from plait.wire.ipv6 import ipv6_header, parse_ipv6

ADDRESSES = bytes(range(32))


@given(
    length=st.integers(0, 300),
    protocol=st.sampled_from([6, 17, 58]),
    traffic_class=st.integers(0, 255),
    hop_limit=st.integers(1, 255),
)
def test_headers_survive(length: int, protocol: int, traffic_class: int, hop_limit: int) -> None:
    header = ipv6_header(ADDRESSES, length, protocol, traffic_class, hop_limit)
    assert (header[7], header[8:]) == (hop_limit, ADDRESSES)
    assert header[:2] == (6 << 12 | traffic_class << 4).to_bytes(2, "big")
    ecn = traffic_class & 3
    assert parse_ipv6(header + bytes(length) + b"tail") == (protocol, 40, 40 + length, ecn)


def packet(first: int, *extensions: bytes) -> bytes:
    body = b"".join(extensions)
    return ipv6_header(ADDRESSES, len(body), first, 0) + body


CHAINS = {
    "hop by hop": (packet(0, b"\x06\x00" + bytes(6), bytes(20)), (6, 48, 68, 0)),
    "routing of 24 octets": (packet(43, b"\x06\x02" + bytes(22)), (6, 64, 64, 0)),
    "destination options": (packet(60, b"\x3a\x00" + bytes(6)), (58, 48, 48, 0)),
    "authentication of 24 octets": (packet(51, b"\x06\x04" + bytes(22)), (6, 64, 64, 0)),
    "two": (packet(0, b"\x3c\x00" + bytes(6), b"\x06\x00" + bytes(6)), (6, 56, 56, 0)),
}


@pytest.mark.parametrize(("octets", "found"), CHAINS.values(), ids=CHAINS.keys())
def test_extension_headers_are_skipped(octets: bytes, found: tuple[int, ...]) -> None:
    assert parse_ipv6(octets) == found


BROKEN = {
    "short": packet(6)[:39],
    "version": b"\x50" + packet(6)[1:],
    "cut short": packet(6, b"payload")[:-1],
    "fragment": packet(44, bytes(8)),
    "fragment behind another": packet(0, b"\x2c\x00" + bytes(6), bytes(8)),
    "extension cut short": packet(0, b"\x06\x00" + bytes(5)),
    "extension past the end": packet(0, b"\x06\x01" + bytes(6)),
    "endless chain": packet(60, *[b"\x3c\x00" + bytes(6)] * 20),
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN.keys())
def test_broken_header(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_ipv6(octets)


def test_too_long_a_payload_is_misuse() -> None:
    assert len(ipv6_header(ADDRESSES, 65_535, 6, 0)) == 40
    with pytest.raises(UsageError):
        ipv6_header(ADDRESSES, 65_536, 6, 0)
