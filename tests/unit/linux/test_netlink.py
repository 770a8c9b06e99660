from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.linux import netlink
from plait.linux.netlink import (
    DUMP,
    GENERIC,
    ROUTE,
    GenericFamily,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    number,
)

_GET_LINK = 18
_SET_LINK = 19


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=6))
def test_attributes_invert_attribute(values: dict[int, bytes]) -> None:
    octets = b"".join(attribute(kind, value) for kind, value in values.items())
    assert len(octets) % 4 == 0
    assert attributes(octets) == values


@given(st.binary(max_size=80))
def test_no_octets_are_too_odd_to_read(octets: bytes) -> None:
    attributes(octets)
    list(netlink._messages(octets))


NUMBERS = {"octet": (7, "B"), "half": (0x1234, "H"), "word": (0x12345678, "I")}


@pytest.mark.parametrize(("value", "width"), NUMBERS.values(), ids=NUMBERS.keys())
def test_numbers_are_in_the_machines_order(value: int, width: str) -> None:
    assert number(attributes(attribute(5, value, width))[5]) == value


def test_a_dump_returns_every_object_and_a_refusal_is_an_error() -> None:
    with Netlink(ROUTE) as asking:
        links = asking.request(_GET_LINK, bytes(16), DUMP)
        assert any(attributes(link[16:])[3] == b"lo\0" for link in links)
        nobody = struct.pack("=BxHiII", 0, 0, 1 << 30, 0, 0)
        with pytest.raises(NetlinkError):
            asking.request(_SET_LINK, nobody)
    assert asking.fileno() == -1


def test_an_unknown_family_is_an_error() -> None:
    with Netlink(GENERIC) as asking, pytest.raises(NetlinkError):
        GenericFamily(asking, "no_such_family")
