"""Socket addresses as octets, as Python's tuples, and as address and port."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, ip_address

import pytest

from plait.linux.sockaddr import destination_of, pack_sockaddr, parse_sockaddr

SOCKADDRS = {
    "IPv4": ("0200 0050 0a000001 0000000000000000", ("10.0.0.1", 80)),
    "IPv6": ("0a00 01bb 00000000 20010db8000000000000000000000001 00000000", ("2001:db8::1", 443)),
    "mapped": ("0a00 0007 00000000 00000000000000000000ffff0a000001 00000000", ("10.0.0.1", 7)),
    "shorter than C has it": ("0a00 0007 00000000 20010db8000000000000000000000001",
                              ("2001:db8::1", 7)),
    "unspecified": ("0000 0000 00000000 0000000000000000", None),
    "Unix": ("0100 2f746d70", None),
    "cut": ("0200 0050 0a00", None),
    "IPv6 cut": ("0a00 01bb 00000000 20010db8", None),
    "nothing": ("", None),
}  # fmt: skip


@pytest.mark.parametrize(("octets", "expected"), SOCKADDRS.values(), ids=SOCKADDRS.keys())
def test_a_socket_address(octets: str, expected: tuple[str, int] | None) -> None:
    found = parse_sockaddr(bytes.fromhex(octets))
    assert found == (None if expected is None else (ip_address(expected[0]), expected[1]))


@pytest.mark.parametrize("address", ["10.9.1.2", "2001:db8::1"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_what_is_packed_is_parsed(family: int, address: str) -> None:
    name = ip_address(address), 443
    packed = pack_sockaddr(family, name)
    assert len(packed) == (16 if family == socket.AF_INET else 28)
    fits = family == socket.AF_INET6 or name[0].version == 4
    assert parse_sockaddr(packed) == (name if fits else (IPv4Address(0), 443))


NAMES = {
    "IPv4": (("10.9.1.2", 80), "10.9.1.2"),
    "IPv6": (("2001:db8::1", 80, 0, 0), "2001:db8::1"),
    "a scope": (("fe80::1%eth0", 80, 0, 2), "fe80::1"),
    "IPv4 in IPv6": (("::ffff:10.9.1.2", 80, 0, 0), "10.9.1.2"),
}


@pytest.mark.parametrize(("name", "address"), NAMES.values(), ids=NAMES.keys())
def test_names_of_sockets(name: tuple[object, ...], address: str) -> None:
    assert destination_of(name) == (ip_address(address), 80)
