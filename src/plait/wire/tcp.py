"""TCP headers: octets to `Segment` and back (RFC 9293, 3.1).

Every packet passes here.  Established hosts send few layouts of options: nothing, timestamps,
a DSS, or both.  Those are decoded and encoded with one precompiled structure each; whatever
else comes takes the general way through `parse_options` and `pack`.
"""

from __future__ import annotations

import struct
from typing import Final

from plait.errors import DecodeError
from plait.wire.checksum import fold, internet_checksum
from plait.wire.mptcp.dss import BODIES, Dss, parse_dss_at
from plait.wire.option import Option
from plait.wire.packing import PADDING, option_length, pack
from plait.wire.segment import ABSENT, Buffer, Segment
from plait.wire.tcp_options import EndOfOptions, Nop, Sack, Timestamps, parse_options

PROTOCOL: Final = 6

CHECKSUM_OFFSET: Final = 16
"""Where the checksum field stands in the header, in octets."""

_MIN_HEADER: Final = 20
_FIXED: Final = struct.Struct("!IIBBHHH")
_HEADER: Final = struct.Struct("!4sIIBBHHH")
_WORD: Final = struct.Struct("!I")
_WORDS: Final = struct.Struct("!III")

NOP_NOP_TIMESTAMPS: Final = 0x0101080A
"""The first word of timestamps as they stand alone, or before other options."""


def parse_tcp(flow: bytes, octets: Buffer, start: int = 0, stop: int | None = None) -> Segment:
    """Decode a TCP header and refer to its payload without copying it.

    The checksum is not looked at; `checksum_ok` does that.  Raises DecodeError if the header is
    not whole; wrong options never do.

    Args:
        flow: Addresses and ports, which the segment keeps as they are.
        octets: What holds the segment; the payload is a view of it.
        start: Where the TCP header begins in `octets`.
        stop: Where the payload ends in `octets`; None for the end.
    """
    if stop is None:
        stop = len(octets)
    if stop - start < _MIN_HEADER:
        raise DecodeError("a TCP header is at least 20 octets", 0)
    seq, ack, offset, flags, window, _, urgent = _FIXED.unpack_from(octets, start + 4)
    body = start + (offset >> 4) * 4
    if body > stop or offset < 0x50:
        raise DecodeError("TCP data offset is outside the segment", 12)
    if body < stop:
        payload = (memoryview(octets)[body:stop],)
        segment = Segment(flow, seq, ack, flags, window, payload, stop - body)
    else:
        segment = Segment(flow, seq, ack, flags, window)
    segment.urgent = urgent
    at = start + _MIN_HEADER
    if at < body and not _parse_common(segment, octets, at, body):
        _parse_general(segment, bytes(octets[at:body]))
    return segment


def _parse_common(segment: Segment, octets: Buffer, at: int, body: int) -> bool:
    """Take the options if they are timestamps, a DSS or both, padded as Linux pads them.

    Returns whether they were; if not, nothing is settled yet.
    """
    (head,) = _WORD.unpack_from(octets, at)
    if head == NOP_NOP_TIMESTAMPS:
        if body - at < 12:
            return False
        _, segment.ts_val, segment.ts_ecr = _WORDS.unpack_from(octets, at)
        at += 12
        if at == body:
            return True
        (head,) = _WORD.unpack_from(octets, at)
    form = BODIES.get(head)
    if form is None:
        return False
    end = at + 4 + form.size
    if end != body and (end > body or octets[end:body] != PADDING[end - at & 3]):
        return False
    segment.dss = parse_dss_at(octets, at, head, form)
    return True


def _parse_general(segment: Segment, area: bytes) -> None:
    """Sort any options into the segment's fields."""
    segment.ts_val = ABSENT
    segment.ts_ecr = 0
    found: list[Dss] = []
    others: list[Option] = []
    for option in parse_options(area):
        if isinstance(option, Dss):
            found.append(option)
        elif isinstance(option, Timestamps):
            segment.ts_val = option.value
            segment.ts_ecr = option.echo
        elif isinstance(option, Sack):
            segment.sack = option.blocks
        elif not isinstance(option, Nop | EndOfOptions):
            others.append(option)
    if len(found) == 1:  # two contradict each other: Linux, too, uses neither
        segment.dss = found[0]
    segment.options = tuple(others)


def tcp_header(segment: Segment, *, partial: bool = False) -> bytes:
    """Return the header with the options that fit in it.

    Args:
        segment: Whose header it is.
        partial: The checksum field holds the sum of the pseudo-header, for a kernel that completes
            it; otherwise it is zero.
    """
    flow = segment.flow
    general = len(segment.options) > 0 or len(segment.sack) > 0
    if general:
        area = pack(segment)[0]
    elif segment.dss is not None:
        area = segment.dss.serialize()
        area += PADDING[len(area) & 3]
    else:
        area = b""
    if segment.ts_val >= 0 and not general:
        area = _WORDS.pack(NOP_NOP_TIMESTAMPS, segment.ts_val, segment.ts_ecr) + area
    size = _MIN_HEADER + len(area)
    head = _HEADER.pack(
        flow[-4:],
        segment.seq,
        segment.ack,
        size << 2,
        segment.flags,
        segment.window,
        pseudo_sum(flow, size + segment.length) if partial else 0,
        segment.urgent,
    )
    return head + area


def header_length(segment: Segment) -> int:
    """Return the octets that `tcp_header` makes, 20 to 60."""
    return _MIN_HEADER + option_length(segment)


def serialize_tcp(segment: Segment) -> bytes:
    """Return header and payload with a complete checksum."""
    header = tcp_header(segment)
    length = len(header) + segment.length
    checksum = internet_checksum((header, *segment.payload), pseudo_sum(segment.flow, length))
    return b"".join(
        (
            header[:CHECKSUM_OFFSET],
            checksum.to_bytes(2, "big"),
            header[CHECKSUM_OFFSET + 2 :],
            *segment.payload,
        )
    )


def pseudo_sum(flow: bytes, length: int, protocol: int = PROTOCOL) -> int:
    """Return the sum over the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1).

    It is also what the checksum field holds when the kernel is to complete it.

    Args:
        flow: Its addresses count, its ports do not.
        length: Octets of transport header and payload.
    """
    return fold(int.from_bytes(flow[:-4], "big") + protocol + length)


def checksum_ok(flow: bytes, octets: Buffer, protocol: int = PROTOCOL) -> bool:
    """Return whether a transport header and its payload have the checksum they carry."""
    return internet_checksum((octets,), pseudo_sum(flow, len(octets), protocol)) == 0
