"""Opening a connection: three-way handshake and what the options on SYNs settle (RFC 9293, 3.5).

Data and FIN on a SYN are not taken, except by Fast Open: our answer acknowledges the SYN alone, and
they come again.  Keeping them would let anyone fill memory who can send from a wrong address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.addresses import V4_FLOW
from plait.tcp import fast_open, segments
from plait.tcp.settings import MAX_SHIFT
from plait.tcp.state import Input, State, step
from plait.tcp.timestamps import TIMESTAMPS_ROOM
from plait.units import Nanos, Octets
from plait.wire.segment import ACK, RST, SYN, Segment
from plait.wire.seq import unwrap32
from plait.wire.tcp_options import Mss, Option, SackPermitted, WindowScale

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection

DEFAULT_MSS_V4: Final = 536
DEFAULT_MSS_V6: Final = 1220
"""What a peer takes that announces nothing (RFC 9293, 3.7.1)."""

LEAST_MSS: Final = 88
"""Announcements below this are raised, so that full options leave room for payload."""


_SACK_PERMITTED: Final = SackPermitted()

_LARGEST: Final = 65535
"""The largest window that is not scaled."""


def syn(connection: TcpConnection, now: Nanos) -> Segment:
    """Return the SYN or SYN/ACK that is due."""
    answering = connection.state is State.SYN_RECEIVED
    segment = segments.bare(connection, now, SYN | ACK if answering else SYN, 0)
    segment.window = _whole_segments(connection, segment.window, answering)
    first = connection.syn_count == 0
    segment.flags |= connection.ecn.syn_flags(answering=answering, first=first)
    segment.sack = ()
    options: list[Option] = [Mss(connection.local_mss)]
    if connection.sack:
        options.append(_SACK_PERMITTED)
    if connection.window_scaling:
        options.append(WindowScale(connection.settings.window_scale))
    if connection.syn_count < connection.syn_option_tries:
        options.extend(connection.syn_options)
    segment.options = tuple(options)
    if connection.fast_open is not None and connection.syn_count == 0 and not answering:
        fast_open.put_on_syn(connection, connection.fast_open, segment)
    connection.syn_due = False
    if connection.syn_count:
        connection.counters.tcp_syn_retrans += 1
        connection.counters.retrans_segs += 1
    connection.syn_count += 1
    sender = connection.sender
    sender.snd_nxt = max(sender.snd_nxt, 1)
    sender.timer_base = now
    sender.last_sent = now
    return segment


def _whole_segments(connection: TcpConnection, window: Octets, answering: bool) -> Octets:
    """Return the window of a SYN; the largest one in whole segments, as Linux tells it."""
    if window < _LARGEST:
        return window
    timestamps = TIMESTAMPS_ROOM if answering and connection.timestamps.on else 0
    return window - window % max(connection.local_mss - timestamps, 1) or window


def accept(connection: TcpConnection, now: Nanos, segment: Segment) -> None:
    """Take the SYN of a passive open (RFC 9293, 3.10.7.2)."""
    _negotiate(connection, now, segment)
    connection.state = State.SYN_RECEIVED
    connection.syn_due = True


def on_cookie(connection: TcpConnection) -> None:
    """Take the SYN/ACK as sent: it was a SYN cookie, made before this connection (RFC 4987, 3.6).

    The round-trip time is unknown, as after a retransmission.
    """
    connection.syn_due = False
    connection.syn_count = 2
    connection.sender.snd_nxt = 1


def on_syn_sent(connection: TcpConnection, now: Nanos, segment: Segment) -> bool:
    """Apply a segment in SYN-SENT (RFC 9293, 3.10.7.3); return whether it was acceptable."""
    sender = connection.sender
    attempt = connection.fast_open
    acked = False
    ack = 0
    if segment.flags & ACK:
        ack = unwrap32(segment.ack, connection.iss, sender.snd_una)
        acked = sender.snd_nxt == 1 <= ack <= 1 + (0 if attempt is None else attempt.sent)
        if not acked:
            if not segment.flags & RST:
                connection.half_open = segment.ack
            return False
    if segment.flags & RST:
        if acked:
            connection.refuse()
        return acked
    if not segment.flags & SYN:
        return False
    _negotiate(connection, now, segment)
    if not acked:
        connection.state = State.SYN_RECEIVED
        connection.syn_due = True
        return True
    if connection.syn_count == 1:
        sender.rtt.on_sample(now - sender.timer_base)
    _establish(connection, now, segment)
    if attempt is not None:
        fast_open.on_syn_ack(connection, attempt, segment, announced_mss(segment), ack)
    connection.receiver.ack_now = True
    return True


def on_final_ack(connection: TcpConnection, now: Nanos, segment: Segment) -> bool:
    """Apply the ACK of our SYN in SYN-RECEIVED; return whether it was that."""
    sender = connection.sender
    if not segment.flags & ACK:
        return False
    if not 1 <= unwrap32(segment.ack, connection.iss, sender.snd_una) <= sender.snd_nxt:
        connection.half_open = segment.ack
        return False
    if connection.syn_count == 1:
        sender.rtt.on_sample(now - sender.timer_base)
    _establish(connection, now, segment)
    if not segment.flags & SYN:
        sender.snd_wnd = segment.window << sender.scale
    return True


def on_stray_syn(connection: TcpConnection, now: Nanos, segment: Segment) -> bool:
    """Answer a SYN on a connection that has seen one: repeat ours, or challenge (RFC 5961, 4)."""
    if connection.state is State.SYN_RECEIVED:
        connection.syn_due = not segment.flags & ACK
        if segment.flags & ACK:
            return on_final_ack(connection, now, segment)
    else:
        connection.counters.tcp_syn_challenge += 1
        connection.challenge(now)
    return False


def _establish(connection: TcpConnection, now: Nanos, segment: Segment) -> None:
    sender = connection.sender
    sender.on_established(now, connection.syn_count)
    sender.snd_wnd = segment.window
    sender.snd_wl1 = 0
    sender.snd_wl2 = 1
    sender.max_window = max(sender.max_window, sender.snd_wnd)
    connection.syn_due = False
    connection.state = State.ESTABLISHED
    if sender.fin_queued:
        connection.state = step(connection.state, Input.CLOSE)
    connection.timestamps.last_ack_sent = connection.receiver.rcv_nxt
    connection.keepalive.start(connection, now)
    connection.receiver.last_arrival = now
    connection.path_mtu.start(connection)


def announced_mss(syn: Segment) -> Octets:
    """Return what a SYN says of segment sizes, the default if nothing (RFC 9293, 3.7.1)."""
    for option in syn.options:
        if isinstance(option, Mss):
            return option.value
    return DEFAULT_MSS_V4 if len(syn.flow) == V4_FLOW else DEFAULT_MSS_V6


def _negotiate(connection: TcpConnection, now: Nanos, segment: Segment) -> None:
    """Settle what both SYNs must agree on."""
    receiver = connection.receiver
    receiver.irs = segment.seq
    shift = -1
    sack = False
    for option in segment.options:
        if isinstance(option, WindowScale):
            shift = min(option.shift, MAX_SHIFT)
        elif isinstance(option, SackPermitted):
            sack = True
    connection.path_mss = min(connection.local_mss, max(announced_mss(segment), LEAST_MSS))
    connection.sack = connection.sack and sack
    connection.sender.sack = connection.sack
    connection.timestamps.start(now, segment)
    connection.ecn.on_syn(segment)
    connection.window_scaling = shift >= 0 and connection.settings.window_scale >= 0
    connection.sender.scale = shift if connection.window_scaling else 0
    receiver.scale = connection.settings.window_scale if connection.window_scaling else 0
    connection.update_mss()
