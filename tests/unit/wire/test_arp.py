from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DecodeError
from plait.wire import arp
from plait.wire.arp import Arp, reply, request

HERE, THERE = bytes.fromhex("02005e100001"), bytes.fromhex("02005e100002")
OURS, THEIRS = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
HEAD = "0001 0800 06 04"

ASKED = request(HERE, OURS, THEIRS)
SHAPES = {
    "request": (ASKED, f"{HEAD} 0001 02005e100001 0a000001 000000000000 0a000002"),
    "reply": (reply(ASKED, THERE), f"{HEAD} 0002 02005e100002 0a000002 02005e100001 0a000001"),
    "probe": (
        request(HERE, arp.NOBODY, OURS),
        f"{HEAD} 0001 02005e100001 00000000 000000000000 0a000001",
    ),
    "announcement": (
        request(HERE, OURS, OURS),
        f"{HEAD} 0001 02005e100001 0a000001 000000000000 0a000001",
    ),
}


@pytest.mark.parametrize(("message", "octets"), SHAPES.values(), ids=SHAPES.keys())
def test_shape(message: Arp, octets: str) -> None:
    assert message.serialize() == bytes.fromhex(octets)
    assert Arp.parse(bytes.fromhex(octets) + bytes(18)) == message  # Ethernet pads to 60 octets


BROKEN = {
    "short": "0001 0800 06 04 0001 02005e100001 0a000001 000000000000 0a0000",
    "not Ethernet": "0006 0800 06 04 0001" + 20 * "00",
    "not IPv4": "0001 86dd 06 04 0001" + 20 * "00",
    "long hardware addresses": "0001 0800 08 04 0001" + 20 * "00",
    "long addresses": "0001 0800 06 10 0001" + 20 * "00",
    "RARP": "0001 0800 06 04 0003" + 20 * "00",
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_for_ipv4_on_ethernet_is_refused(octets: str) -> None:
    with pytest.raises(DecodeError):
        Arp.parse(bytes.fromhex(octets))


@given(st.binary(max_size=64))
def test_nothing_but_decode_error_is_raised(octets: bytes) -> None:
    with suppress(DecodeError):
        Arp.parse(octets)


@given(st.binary(min_size=6, max_size=6), st.binary(min_size=4, max_size=4))
def test_parsing_inverts_serializing(mac: bytes, address: bytes) -> None:
    message = replace(ASKED, sender_mac=mac, target=address)
    assert Arp.parse(message.serialize()) == message
