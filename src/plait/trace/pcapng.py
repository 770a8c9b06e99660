"""Captures in pcapng format (draft-ietf-opsawg-pcapng): the blocks that carry packets."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from plait.errors import DecodeError
from plait.trace.frames import RAW, Record
from plait.units import MICROSECOND, SECOND, Nanos

SECTION_HEADER: Final = b"\x0a\x0d\x0d\x0a"
"""The first 4 octets of a file, the same in both byte orders."""

_INTERFACE: Final = 1
_SIMPLE_PACKET: Final = 3
_ENHANCED_PACKET: Final = 6

_BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
_END_OF_OPTIONS: Final = 0
_IF_TSRESOL: Final = 9
_IF_TSOFFSET: Final = 14
_UNKNOWN_LENGTH: Final = (1 << 64) - 1
_MAX_BLOCK: Final = 1 << 24
"""A longer block is taken for damage."""


@dataclass(frozen=True, slots=True)
class _Interface:
    """What an interface description tells about the packets that refer to it."""

    link_type: int
    snaplen: int
    """Octets captured of each packet at most, 0 for no limit."""

    ticks: int
    """Ticks of the clock in a second."""

    offset: int
    """Seconds to add to every time."""

    def time(self, ticks: int) -> Nanos:
        """Return a time of this interface in nanoseconds."""
        return ticks * SECOND // self.ticks + self.offset * SECOND


class PcapngWriter:
    """Writes a little-endian pcapng file with one interface and nanosecond times."""

    def __init__(self, file: BinaryIO, link_type: int = RAW) -> None:
        self._file = file
        section = struct.pack("<IHHQ", _BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_LENGTH)
        self._block(int.from_bytes(SECTION_HEADER, "little"), section)
        resolution = struct.pack("<HHB3xHH", _IF_TSRESOL, 1, 9, _END_OF_OPTIONS, 0)
        self._block(_INTERFACE, struct.pack("<HHI", link_type, 0, 0) + resolution)

    def write(self, now: Nanos, octets: bytes) -> None:
        """Append one frame."""
        length = len(octets)
        head = struct.pack("<IIIII", 0, now >> 32, now & 0xFFFFFFFF, length, length)
        self._block(_ENHANCED_PACKET, head + octets + bytes(-length % 4))

    def _block(self, kind: int, body: bytes) -> None:
        """Append one block; its length is a multiple of 4 already."""
        total = len(body) + 12
        self._file.write(struct.pack("<II", kind, total) + body + struct.pack("<I", total))


def read_pcapng(file: BinaryIO) -> Iterator[Record]:
    """Yield the packets of a file whose first 4 octets have been read.

    Times of simple packets are unknown and given as zero.  Raises DecodeError, with the offset in
    the file, where it is damaged or ends early.
    """
    order = "<"
    interfaces: list[_Interface] = []
    kind = SECTION_HEADER
    at = 0
    while kind:
        if kind == SECTION_HEADER:
            order, body = _read_section(file, at)
            interfaces = []
        else:
            body = _read_block(file, order, at)
            number = struct.unpack(order + "I", kind)[0]
            if number == _INTERFACE:
                interfaces.append(_parse_interface(body, order, at))
            elif number == _ENHANCED_PACKET:
                yield _parse_enhanced(body, order, interfaces, at)
            elif number == _SIMPLE_PACKET:
                yield _parse_simple(body, order, interfaces, at)
        at += len(body) + 12
        kind = file.read(4)
        if 0 < len(kind) < 4:
            raise DecodeError("pcapng block type cut short", at)


def _read_section(file: BinaryIO, at: int) -> tuple[str, bytes]:
    """Return the byte order that a section header sets, and its body."""
    head = _read(file, 8, at)
    for order in "<>":
        length, magic = struct.unpack(order + "II", head)
        if magic == _BYTE_ORDER_MAGIC:
            _check_length(length, 28, at)
            body = head[4:] + _read(file, length - 12, at)
            if struct.unpack(order + "I", body[-4:])[0] != length:
                raise DecodeError("pcapng block lengths differ", at)
            return order, body[:-4]
    raise DecodeError("pcapng section without byte order", at + 8)


def _read_block(file: BinaryIO, order: str, at: int) -> bytes:
    """Return the body of the block whose type has just been read."""
    length = struct.unpack(order + "I", _read(file, 4, at))[0]
    _check_length(length, 12, at)
    body = _read(file, length - 8, at)
    if struct.unpack(order + "I", body[-4:])[0] != length:
        raise DecodeError("pcapng block lengths differ", at)
    return body[:-4]


def _check_length(length: int, least: int, at: int) -> None:
    """Raise DecodeError unless a block may have this length."""
    if length % 4 or not least <= length <= _MAX_BLOCK:
        raise DecodeError(f"pcapng block of {length} octets", at + 4)


def _read(file: BinaryIO, length: int, at: int) -> bytes:
    """Return exactly `length` octets of the block at `at`."""
    octets = file.read(length)
    if len(octets) < length:
        raise DecodeError("pcapng block cut short", at)
    return octets


def _parse_interface(body: bytes, order: str, at: int) -> _Interface:
    """Decode an interface description."""
    if len(body) < 8:
        raise DecodeError("pcapng interface description cut short", at)
    link_type, _, snaplen = struct.unpack_from(order + "HHI", body)
    ticks = SECOND // MICROSECOND
    offset = 0
    option_at = 8
    while option_at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, option_at)
        value = body[option_at + 4 : option_at + 4 + length]
        if code == _END_OF_OPTIONS:
            break
        if code == _IF_TSRESOL and length == 1 and value:
            exponent = value[0] & 0x7F
            ticks = 1 << exponent if value[0] & 0x80 else 10**exponent
        elif code == _IF_TSOFFSET and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
        option_at += 4 + length + -length % 4
    return _Interface(link_type, snaplen, ticks, offset)


def _parse_enhanced(body: bytes, order: str, interfaces: list[_Interface], at: int) -> Record:
    """Decode an enhanced packet."""
    if len(body) < 20:
        raise DecodeError("pcapng packet cut short", at)
    number, high, low, captured, _ = struct.unpack_from(order + "IIIII", body)
    if number >= len(interfaces):
        raise DecodeError(f"pcapng packet of unknown interface {number}", at)
    if captured > len(body) - 20:
        raise DecodeError("pcapng packet longer than its block", at)
    interface = interfaces[number]
    time = interface.time(high << 32 | low)
    return Record(time, body[20 : 20 + captured], interface.link_type)


def _parse_simple(body: bytes, order: str, interfaces: list[_Interface], at: int) -> Record:
    """Decode a simple packet: it belongs to the first interface and has no time."""
    if len(body) < 4 or not interfaces:
        raise DecodeError("pcapng simple packet without length or interface", at)
    captured = struct.unpack_from(order + "I", body)[0]
    first = interfaces[0]
    if first.snaplen:
        captured = min(captured, first.snaplen)
    if captured > len(body) - 4:
        raise DecodeError("pcapng packet longer than its block", at)
    return Record(0, body[4 : 4 + captured], first.link_type)
