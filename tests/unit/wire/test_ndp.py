from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DecodeError
from plait.wire import ndp
from plait.wire.ndp import (
    Advertisement,
    Message,
    Solicitation,
    is_discovery,
    parse_discovery,
    solicited_node,
)

MAC = bytes.fromhex("02005e100001")
HERE, THERE = ip_address("fe80::1").packed, ip_address("fe80::2").packed

ASKED = Solicitation(source=HERE, destination=solicited_node(THERE), target=THERE, mac=MAC)
TOLD = Advertisement(
    source=HERE, destination=THERE, target=HERE, mac=MAC, flags=ndp.SOLICITED | ndp.OVERRIDE
)
FE80 = "fe80000000000000 000000000000000"
GROUP = "ff02000000000000 00000001ff000002"

SHAPES: dict[str, tuple[Message, str]] = {
    "solicitation": (
        ASKED,
        f"60000000 0020 3a ff {FE80}1 {GROUP} 87 00 1c87 00000000 {FE80}2 0101 02005e100001",
    ),
    "probe": (
        replace(ASKED, source=ndp.NOBODY, mac=b""),
        f"60000000 0018 3a ff {32 * '0'} {GROUP} 87 00 7c23 00000000 {FE80}2",
    ),
    "advertisement": (
        TOLD,
        f"60000000 0020 3a ff {FE80}1 {FE80}2 88 00 ba0b 60000000 {FE80}1 0201 02005e100001",
    ),
}


@pytest.mark.parametrize(("message", "octets"), SHAPES.values(), ids=SHAPES.keys())
def test_shape(message: Message, octets: str) -> None:
    assert message.serialize().hex() == bytes.fromhex(octets).hex()
    assert is_discovery(bytes.fromhex(octets))
    assert parse_discovery(bytes.fromhex(octets)) == message


def test_the_group_of_an_address_is_that_of_its_last_octets() -> None:
    address = ip_address("4037::01:800:200e:8c6c").packed
    assert ip_address(solicited_node(address)) == ip_address("ff02::1:ff0e:8c6c")  # RFC 4291, 2.7.1


def patched(at: int, octets: bytes) -> bytes:
    packet = ASKED.serialize()
    return packet[:at] + octets + packet[at + len(octets) :]


BROKEN = {
    "passed on by a router": patched(7, b"\xfe"),
    "UDP": patched(6, b"\x11"),
    "a damaged checksum": patched(42, b"\0\0"),
    "an echo request": patched(40, b"\x80"),
    "a code": patched(41, b"\x01"),
    "cut short": ASKED.serialize()[:60],
    "an option of no length": patched(65, b"\0"),
    "a group as target": replace(ASKED, target=ndp.ALL_NODES).serialize(),
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN.keys())
def test_what_rfc_4861_calls_invalid_is_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_discovery(octets)


@given(st.binary(max_size=100), st.binary(max_size=64))
def test_nothing_but_decode_error_is_raised(octets: bytes, tail: bytes) -> None:
    for packet in (octets, ASKED.serialize()[:40] + tail, ASKED.serialize()[:64] + tail):
        is_discovery(packet)
        with suppress(DecodeError):
            parse_discovery(packet)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=6, max_size=6))
def test_parsing_inverts_serializing(source: bytes, mac: bytes) -> None:
    told = replace(TOLD, source=source, mac=mac)
    assert parse_discovery(told.serialize()) == told
