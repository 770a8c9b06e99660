from __future__ import annotations

import pytest

from plait.errors import DecodeError
from plait.wire import ethernet
from plait.wire.ethernet import ethernet_header, group_address, is_group, parse_ethernet

STATION = bytes.fromhex("02 00 5e 10 00 01")
OTHER = bytes.fromhex("02 00 5e 10 00 02")

FRAMES = {
    "IPv4": (STATION, ethernet.IPV4, "02005e100001 02005e100002 0800"),
    "IPv6": (STATION, ethernet.IPV6, "02005e100001 02005e100002 86dd"),
    "ARP to all": (ethernet.BROADCAST, ethernet.ARP, "ffffffffffff 02005e100002 0806"),
}


@pytest.mark.parametrize(("to", "kind", "octets"), FRAMES.values(), ids=FRAMES.keys())
def test_header(to: bytes, kind: int, octets: str) -> None:
    assert ethernet_header(to, OTHER, kind) == bytes.fromhex(octets)
    assert parse_ethernet(bytes.fromhex(octets) + b"payload") == (to, OTHER, kind)


def test_a_short_frame_is_refused() -> None:
    with pytest.raises(DecodeError):
        parse_ethernet(bytes(13))


def test_groups_of_ipv6_have_addresses_of_their_own() -> None:
    group = bytes.fromhex("ff02 0000 0000 0000 0000 0001 ff28 9c5a")
    assert group_address(group) == bytes.fromhex("3333 ff28 9c5a")  # RFC 2464, 7


@pytest.mark.parametrize(
    ("address", "group"),
    [(STATION, False), (ethernet.BROADCAST, True), (bytes.fromhex("333300000001"), True)],
)
def test_no_single_station_has_the_address_of_a_group(address: bytes, group: bool) -> None:
    assert is_group(address) is group
    assert is_group(bytes(6))


def test_shown_as_people_write_it() -> None:
    assert ethernet.show(STATION) == "02:00:5e:10:00:01"
