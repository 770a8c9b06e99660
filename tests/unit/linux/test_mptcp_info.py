from __future__ import annotations

import struct

import pytest

from plait.linux.mptcp_info import SIZE, parse_mptcp_info, unpack

LAYOUT = {
    "subflows": (0, "B"),
    "add_addr_signal": (1, "B"),
    "add_addr_accepted": (2, "B"),
    "subflows_max": (3, "B"),
    "add_addr_signal_max": (4, "B"),
    "add_addr_accepted_max": (5, "B"),
    "flags": (8, "I"),
    "token": (12, "I"),
    "write_seq": (16, "Q"),
    "snd_una": (24, "Q"),
    "rcv_nxt": (32, "Q"),
    "local_addr_used": (40, "B"),
    "local_addr_max": (41, "B"),
    "csum_enabled": (42, "B"),
    "retransmits": (44, "I"),
    "bytes_retrans": (48, "Q"),
    "bytes_sent": (56, "Q"),
    "bytes_received": (64, "Q"),
    "bytes_acked": (72, "Q"),
    "subflows_total": (80, "B"),
    "endp_laminar_max": (81, "B"),
    "endp_fullmesh_max": (82, "B"),
    "last_data_sent": (84, "I"),
    "last_data_recv": (88, "I"),
    "last_ack_recv": (92, "I"),
}
"""Offsets and widths as a C compiler lays the structure of Linux 6.18 out."""


def structure() -> bytes:
    octets = bytearray(96)
    for number, (offset, width) in enumerate(LAYOUT.values(), start=1):
        struct.pack_into("=" + width, octets, offset, number)
    return bytes(octets)


def test_every_field_lies_where_linux_has_it() -> None:
    assert SIZE == 96
    assert unpack(structure()) == {name: at for at, name in enumerate(LAYOUT, start=1)}


@pytest.mark.parametrize("length", [40, 43, 48, 80, 84, 96])
def test_older_kernels_return_less(length: int) -> None:
    known = unpack(structure()[:length])
    for number, (name, (offset, width)) in enumerate(LAYOUT.items(), start=1):
        whole = offset + struct.calcsize("=" + width) <= length
        assert known[name] == (number if whole else 0), name


def test_the_snapshot_has_the_numbers_under_the_same_names() -> None:
    info = parse_mptcp_info(structure(), ())
    places = {name: at for at, name in enumerate(LAYOUT, start=1)}
    assert (info.is_mptcp, info.version, info.token) == (True, 1, places["token"])
    assert info.csum_enabled
    assert info.extra_subflows == places["subflows"]
    for name in places.keys() - {
        "subflows", "flags", "token", "csum_enabled", "endp_laminar_max", "endp_fullmesh_max",
    }:  # fmt: skip
        assert getattr(info, name) == places[name], name


@pytest.mark.parametrize("flags", [0, 2], ids=["", "remote key received"])
def test_flags(flags: int) -> None:
    octets = bytearray(structure())
    struct.pack_into("=I", octets, 8, flags)
    assert parse_mptcp_info(bytes(octets), ()).remote_key_received is bool(flags)
