"""From a link's frame to the IP packet."""

from __future__ import annotations

import pytest

from plait.errors import DecodeError
from plait.trace.frames import ETHERNET, LINUX_SLL, LINUX_SLL2, RAW, Record, ip_packet

PACKET = b"\x45packet"
FRAMES = {
    "raw": (RAW, PACKET),
    "Ethernet": (ETHERNET, bytes(12) + b"\x08\x00" + PACKET),
    "Ethernet, version 6": (ETHERNET, bytes(12) + b"\x86\xdd" + PACKET),
    "one VLAN tag": (ETHERNET, bytes(12) + bytes.fromhex("8100000a0800") + PACKET),
    "two VLAN tags": (ETHERNET, bytes(12) + bytes.fromhex("88a800018100000a0800") + PACKET),
    "cooked": (LINUX_SLL, bytes(14) + b"\x08\x00" + PACKET),
    "cooked, version 2": (LINUX_SLL2, b"\x86\xdd" + bytes(18) + PACKET),
}
BROKEN = {
    "ARP": (ETHERNET, bytes(12) + b"\x08\x06" + PACKET),
    "short Ethernet": (ETHERNET, bytes(13)),
    "short VLAN": (ETHERNET, bytes(12) + b"\x81\x00\x00"),
    "short cooked": (LINUX_SLL2, b"\x08\x00" + bytes(17)),
    "unknown": (147, PACKET),
}


@pytest.mark.parametrize(("link_type", "octets"), FRAMES.values(), ids=FRAMES.keys())
def test_frame(link_type: int, octets: bytes) -> None:
    assert ip_packet(Record(0, octets, link_type)) == PACKET


@pytest.mark.parametrize(("link_type", "octets"), BROKEN.values(), ids=BROKEN.keys())
def test_not_an_ip_packet(link_type: int, octets: bytes) -> None:
    with pytest.raises(DecodeError):
        ip_packet(Record(0, octets, link_type))
