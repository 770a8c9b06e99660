"""UDP headers (RFC 768), for encapsulation."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from plait.errors import DecodeError, UsageError
from plait.wire.checksum import internet_checksum
from plait.wire.segment import Buffer
from plait.wire.tcp import checksum_ok, pseudo_sum

PROTOCOL: Final = 17
HEADER_OCTETS: Final = 8

_HEADER: Final = struct.Struct("!4sHH")
_LENGTH_AND_CHECKSUM: Final = struct.Struct("!HH")


@dataclass(init=False, slots=True)
class Datagram:
    """A UDP datagram and the flow it belongs to."""

    flow: bytes
    """Source address, destination address, source port, destination port, as octets."""

    payload: Buffer

    def __init__(self, flow: bytes, payload: Buffer) -> None:
        self.flow = flow
        self.payload = payload


def parse_udp(flow: bytes, octets: Buffer, *, checksum_valid: bool = False) -> Datagram:
    """Decode a datagram and refer to its payload without copying it.

    Args:
        flow: Addresses and ports, which the datagram keeps as they are.
        octets: UDP header and payload.
        checksum_valid: Whether somebody has verified the checksum already.
    """
    if len(octets) < HEADER_OCTETS:
        raise DecodeError("a UDP header is 8 octets", 0)
    length, checksum = _LENGTH_AND_CHECKSUM.unpack_from(octets, 4)
    if not HEADER_OCTETS <= length <= len(octets):
        raise DecodeError(f"UDP length {length} of {len(octets)} octets", 4)
    whole = memoryview(octets)[:length]
    # A zero field means that the sender computed none (RFC 768).
    if checksum and not checksum_valid and not checksum_ok(flow, whole, PROTOCOL):
        raise DecodeError("wrong UDP checksum", 6)
    return Datagram(flow, whole[HEADER_OCTETS:])


def udp_header(flow: bytes, payload: tuple[Buffer, ...]) -> bytes:
    """Return the 8 octets before a payload, with a complete checksum."""
    length = HEADER_OCTETS + sum([len(piece) for piece in payload])
    if length > 0xFFFF:
        raise UsageError(f"UDP datagrams have at most 65535 octets, not {length}")
    header = _HEADER.pack(flow[-4:], length, 0)
    checksum = internet_checksum((header, *payload), pseudo_sum(flow, length, PROTOCOL))
    return _HEADER.pack(flow[-4:], length, checksum or 0xFFFF)
