"""Making segments: what every header of a connection says (RFC 9293, 3.1; RFC 7323, 2 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.tcp.run import Departure
from plait.units import Nanos, Octets
from plait.wire.segment import ABSENT, ACK, ECE, PSH, RST, SYN, Segment, successor
from plait.wire.seq import wrap32

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection


def data(
    connection: TcpConnection, now: Nanos, departure: Departure, before: Segment | None = None
) -> Segment:
    """Return the segment, or super-segment, of a stretch that leaves.

    Args:
        connection: Whose stretch it is.
        now: The present.
        departure: What leaves.
        before: Another one that leaves in the same turn: most of their headers is alike.
    """
    run = departure.run
    start = departure.start
    length = departure.stop - start
    mss = connection.sender.mss
    # A lone segment of a stream that goes on waits for the next one (RFC 9293, 3.9.1.2).
    push = departure.last and (length > mss or not connection.more)
    flags = ACK | PSH if push else ACK
    if before is None:
        segment = bare(connection, now, flags, start)
        segment.payload = departure.pieces()
        segment.length = length
        if segment.sack:
            segment.sack = ()
    else:
        seq = wrap32(start, connection.iss)
        flags |= before.flags & ECE
        segment = successor(before, seq, flags, departure.pieces(), length)
    segment.dss = run.dss
    segment.options = run.options
    if length >= mss:
        if length > mss and not departure.probe:
            segment.segment_size = mss
        connection.path_mtu.full_at = min(connection.path_mtu.full_at, departure.stop)
    return segment


def bare(connection: TcpConnection, now: Nanos, flags: int, position: Octets) -> Segment:
    """Return a segment without payload that starts at `position` of our sequence space."""
    receiver = connection.receiver
    window = connection.window >> (0 if flags & SYN else receiver.scale)
    segment = Segment(
        connection.flow_out,
        wrap32(position, connection.iss),
        wrap32(receiver.rcv_nxt, receiver.irs) if flags & ACK else 0,
        flags,
        window if window < 65536 else 65535,
    )
    segment.marking = connection.settings.marking
    segment.ts_val, segment.ts_ecr = connection.timestamps.stamp(now, flags)
    if connection.ecn.echoing and flags & ACK:
        segment.flags |= ECE
    if connection.sack and (receiver.reassembly.buffered or receiver.duplicated is not None):
        segment.sack = tuple(
            (wrap32(start, receiver.irs), wrap32(stop, receiver.irs))
            for start, stop in receiver.sack_ranges()
        )
    return segment


def reset_half_open(connection: TcpConnection, now: Nanos, ack: int) -> Segment:
    """Return the RST that answers a segment nobody awaits (RFC 9293, 3.10.7.1)."""
    connection.half_open = None
    segment = bare(connection, now, RST, 0)
    segment.seq = ack
    segment.window = 0
    segment.ts_val = ABSENT
    return segment


def reset(connection: TcpConnection, now: Nanos) -> Segment:
    """Return the RST that is due, with its options."""
    options = connection.reset_due or ()
    connection.reset_due = None
    if connection.half_open is not None:
        segment = reset_half_open(connection, now, connection.half_open)
        segment.options = options
        return segment
    segment = bare(connection, now, RST | ACK, connection.sender.snd_nxt)
    segment.sack = ()
    segment.options = options
    segment.ts_val = ABSENT
    return segment
