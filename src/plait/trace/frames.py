"""What captures hold: records, and how to get from a link's frame to the IP packet in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from plait.errors import DecodeError
from plait.units import Nanos

ETHERNET: Final = 1
RAW: Final = 101
"""IP packets, version 4 or 6, with nothing before them."""

LINUX_SLL: Final = 113
LINUX_SLL2: Final = 276

_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_VLAN_TAGS: Final = frozenset({0x8100, 0x88A8})
_HEADERS: Final[dict[int, tuple[int, int]]] = {
    ETHERNET: (12, 14),
    LINUX_SLL: (14, 16),
    LINUX_SLL2: (0, 20),
}
"""By link type: where the protocol stands, and where what it carries begins."""


@dataclass(frozen=True, slots=True)
class Record:
    """One captured frame."""

    time: Nanos
    """Since the epoch of the capture, usually 1970."""

    octets: bytes
    """What was captured, perhaps less than was on the wire."""

    link_type: int
    """As https://www.tcpdump.org/linktypes.html assigns it."""


def ip_packet(record: Record) -> memoryview:
    """Return the IP packet in a frame, trailing padding included.

    Raises DecodeError if the frame holds something else or its link type is unknown.
    """
    frame = memoryview(record.octets)
    if record.link_type == RAW:
        return frame
    if record.link_type not in _HEADERS:
        raise DecodeError(f"unknown link type {record.link_type}", 0)
    at, body = _HEADERS[record.link_type]
    protocol = int.from_bytes(frame[at : at + 2], "big")
    while protocol in _VLAN_TAGS and len(frame) >= body + 4:
        protocol = int.from_bytes(frame[body + 2 : body + 4], "big")
        body += 4
    if len(frame) < body:
        raise DecodeError("frame shorter than its link header", len(frame))
    if protocol not in {_IPV4, _IPV6}:
        raise DecodeError(f"frame of protocol {protocol:#06x}", at)
    return frame[body:]
