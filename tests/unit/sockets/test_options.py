from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.addresses import Path
from plait.aio.connection import Subflow
from plait.sockets import options
from plait.sockets.options import SubflowStatus, pack_address, pack_ids, unpack_addresses

ADDRESSES = {
    "IPv4": (
        IPv4Address("192.0.2.7"),
        8443,
        socket.AF_INET.to_bytes(2, "little") + bytes.fromhex("20fb c0000207 0000000000000000"),
    ),
    "IPv6": (
        IPv6Address("2001:db8::7"),
        80,
        socket.AF_INET6.to_bytes(2, "little")
        + bytes.fromhex("0050 00000000 20010db8000000000000000000000007 00000000"),
    ),
}


@pytest.mark.parametrize(("address", "port", "octets"), ADDRESSES.values(), ids=ADDRESSES.keys())
@pytest.mark.skipif("sys.byteorder == 'big'", reason="the octets are those of a little host")
def test_addresses_are_struct_sockaddr(
    address: IPv4Address | IPv6Address, port: int, octets: bytes
) -> None:
    assert pack_address(address, port) == octets
    assert unpack_addresses(octets) == [(address, port)]


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-07")
@given(st.lists(st.tuples(st.ip_addresses(), st.integers(0, 65535))))
def test_lists_of_both_families(pairs: list[tuple[IPv4Address | IPv6Address, int]]) -> None:
    assert unpack_addresses(b"".join(pack_address(*pair) for pair in pairs)) == pairs


@pytest.mark.parametrize("cut", [b"\x02", b"\x02\0" + bytes(13), b"\x01\0" + bytes(14)])
def test_cut_or_unknown_addresses_are_einval(cut: bytes) -> None:
    with pytest.raises(OSError, match="no struct sockaddr") as raised:
        unpack_addresses(cut)
    assert raised.value.errno == errno.EINVAL


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-01")
@pytest.mark.parametrize("count", [0, 1, 2, 32])
def test_ids_with_their_flags(count: int) -> None:
    path = Path(ip_address("10.0.0.1"), 1, ip_address("10.0.0.2"), 2)
    subflows = tuple(
        Subflow(at + 1, path, fully_established=at % 2 == 0, low_prio=at % 3 == 0)
        for at in range(count)
    )
    octets = pack_ids(subflows)
    assert octets[0] == count
    assert len(octets) == 2 + 4 * count
    found = options.unpack_ids(octets)
    assert [one.id for one in found] == [one.id for one in subflows]
    for one, subflow in zip(found, subflows, strict=True):
        established = bool(one.flags & options.FULLY_ESTABLISHED)
        assert established is subflow.fully_established
        assert bool(one.flags & options.PRE_ESTABLISHED) is not established
        assert bool(one.flags & options.LOW_PRIO) is subflow.low_prio
        assert one.flags & options.ATTACHED


def test_one_entry_octet_by_octet() -> None:
    path = Path(ip_address("10.0.0.1"), 1, ip_address("10.0.0.2"), 2)
    octets = pack_ids((Subflow(7, path, fully_established=True, low_prio=True),))
    assert options.unpack_ids(octets) == [SubflowStatus(7, 0b01110)]
