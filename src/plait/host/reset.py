"""RSTs for segments that belong to no connection (RFC 9293, 3.5.2 and 3.10.7.1)."""

from __future__ import annotations

from plait.wire.option import Option
from plait.wire.segment import ACK, FIN, RST, SYN, Segment
from plait.wire.seq import MASK32


def reverse_flow(flow: bytes) -> bytes:
    """Return the flow of answers to segments of `flow`."""
    size = (len(flow) - 4) // 2
    return flow[size : 2 * size] + flow[:size] + flow[-2:] + flow[-4:-2]


def reset_for(segment: Segment, options: tuple[Option, ...] = ()) -> Segment | None:
    """Return the RST that answers a stray segment; a RST is never answered."""
    if segment.flags & RST:
        return None
    flow = reverse_flow(segment.flow)
    if segment.flags & ACK:
        reset = Segment(flow, segment.ack, 0, RST, 0)
    else:
        length = segment.length + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        reset = Segment(flow, 0, (segment.seq + length) & MASK32, RST | ACK, 0)
    reset.options = options
    return reset


def from_elsewhere(flow: bytes) -> bool:
    """Return whether the source is no single host: never answer it (RFC 9293, 3.9.2.3)."""
    return is_group(flow[: (len(flow) - 4) // 2])


def is_group(address: bytes) -> bool:
    """Return whether an address is a group's, everyone's or no one's."""
    if not any(address):
        return True
    return address[0] >= 224 if len(address) == 4 else address[0] == 0xFF
