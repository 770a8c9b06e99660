"""Captures in pcap format, and the reader that knows pcapng too (draft-ietf-opsawg-pcap)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from plait.errors import DecodeError
from plait.trace.frames import ETHERNET, LINUX_SLL, LINUX_SLL2, RAW, Record, ip_packet
from plait.trace.pcapng import SECTION_HEADER, PcapngWriter, read_pcapng
from plait.units import MICROSECOND, SECOND, Nanos

__all__ = [
    "ETHERNET",
    "LINUX_SLL",
    "LINUX_SLL2",
    "RAW",
    "PcapWriter",
    "PcapngWriter",
    "Record",
    "ip_packet",
    "read_pcap",
]

_MICRO: Final = 0xA1B2C3D4
_NANO: Final = 0xA1B23C4D
_SNAPLEN: Final = 262_144
_MAX_CAPTURED: Final = 1 << 24
"""A longer record is taken for damage; super-segments have 64 KiB."""

_FILE: Final = "IHHiIII"
_FORMATS: Final[dict[bytes, tuple[str, int]]] = {
    struct.pack(order + "I", magic): (order, unit)
    for order in "<>"
    for magic, unit in ((_MICRO, MICROSECOND), (_NANO, 1))
}
"""By the first 4 octets: byte order and nanoseconds per tick."""


class PcapWriter:
    """Writes a little-endian pcap file with nanosecond times."""

    def __init__(self, file: BinaryIO, link_type: int = RAW) -> None:
        self._file = file
        file.write(struct.pack("<" + _FILE, _NANO, 2, 4, 0, 0, _SNAPLEN, link_type))

    def write(self, now: Nanos, octets: bytes) -> None:
        """Append one frame."""
        length = len(octets)
        self._file.write(struct.pack("<IIII", now // SECOND, now % SECOND, length, length))
        self._file.write(octets)


def read_pcap(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a pcap or pcapng file, whichever it is.

    Raises DecodeError, with the offset in the file, where it is damaged or ends early.
    """
    magic = file.read(4)
    if magic == SECTION_HEADER:
        yield from read_pcapng(file)
        return
    if magic not in _FORMATS:
        raise DecodeError("neither a pcap nor a pcapng file", 0)
    order, unit = _FORMATS[magic]
    rest = file.read(20)
    if len(rest) < 20:
        raise DecodeError("pcap header cut short", 4 + len(rest))
    major, _, _, _, _, network = struct.unpack(order + _FILE[1:], rest)
    if major != 2:
        raise DecodeError(f"pcap version {major}", 4)
    link_type = network & 0x0FFFFFFF  # the top bits tell of frame check sequences
    record = struct.Struct(order + "IIII")
    at = 24
    while head := file.read(record.size):
        if len(head) < record.size:
            raise DecodeError("pcap record header cut short", at)
        seconds, ticks, captured, _ = record.unpack(head)
        if captured > _MAX_CAPTURED:
            raise DecodeError(f"pcap record of {captured} octets", at + 8)
        octets = file.read(captured)
        if len(octets) < captured:
            raise DecodeError("pcap record cut short", at)
        yield Record(seconds * SECOND + ticks * unit, octets, link_type)
        at += record.size + captured
