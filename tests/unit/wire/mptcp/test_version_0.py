"""The forms that only version 0 has (RFC 6824, 3)."""

from __future__ import annotations

import pytest

from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_capable import (
    CHECKSUM_REQUIRED,
    EXTENSIBILITY,
    HMAC_SHA256,
    MpCapableAck,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.parse import parse_mptcp
from plait.wire.option import UnknownOption

FORMS = {
    "MP_CAPABLE": (0x00, {4, 12, 20}),
    "ADD_ADDR of IPv4": (0x34, {8, 10}),
    "ADD_ADDR of IPv6": (0x36, {20, 22}),
    "MP_PRIO": (0x51, {3, 4}),
}


@pytest.mark.rfc("6824", "3.1", "F-01")
@pytest.mark.rfc("6824", "3.4.1", "F-32")
@pytest.mark.rfc("6824", "3.3.8", "F-51")
@pytest.mark.parametrize(("head", "legal"), FORMS.values(), ids=FORMS.keys())
def test_legal_lengths(head: int, legal: set[int]) -> None:
    found = set()
    for length in range(3, 41):
        option = parse_mptcp(bytes((30, length, head)).ljust(length, b"\0"))
        if not isinstance(option, UnknownOption) and getattr(option, "version", 0) == 0:
            found.add(length)
    assert found == legal


@pytest.mark.rfc("6824", "3.4.1", "F-32")
@pytest.mark.parametrize("length", [16, 18, 28, 30])
def test_an_add_addr_with_an_hmac_is_of_version_1(length: int) -> None:
    option = parse_mptcp(bytes((30, length, 0x34)).ljust(length, b"\0"))
    assert isinstance(option, AddAddr)
    assert option.version == 1


@pytest.mark.rfc("6824", "3.1", "F-02")
@pytest.mark.parametrize("flag", [CHECKSUM_REQUIRED, EXTENSIBILITY, 0x20, 0x02, HMAC_SHA256])
def test_flags_are_kept_apart(flag: int) -> None:
    option = MpCapableSynAck(version=0, flags=flag, sender_key=bytes(8))
    assert parse_mptcp(option.serialize()) == option
    whole = MpCapableAck(version=0, flags=flag, sender_key=bytes(8), receiver_key=b"receiver")
    assert parse_mptcp(whole.serialize()) == whole


@pytest.mark.rfc("6824", "3.3.8", "F-51")
@pytest.mark.parametrize("address_id", [0, 5, 255])
@pytest.mark.parametrize("backup", [True, False])
def test_a_priority_may_name_an_address(address_id: int, backup: bool) -> None:
    option = MpPrio(backup, address_id)
    assert len(option.serialize()) == 4
    assert parse_mptcp(option.serialize()) == option
