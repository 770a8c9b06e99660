"""What a segment means to the connection: options first, then payload by its mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.buffers import Pieces
from plait.mptcp import (
    advertising,
    closing,
    failing,
    fallback,
    handshake,
    joining,
    priorities,
    reinjection,
    removal,
)
from plait.mptcp.mapping import Mapping, Verdict
from plait.mptcp.state import ACTIVE, ENDED, MPTCP, PRE_ESTABLISHED, TCP, Change
from plait.mptcp.subflow import MANY_PIECES, Subflow
from plait.tcp import closing as tcp_closing
from plait.wire.checksum import dss_checksum_ok
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import (
    DATA_ACK,
    DATA_ACK_8,
    DATA_FIN,
    DSN_8,
    MAPPING,
    Dss,
)
from plait.wire.mptcp.mp_capable import MpCapableData
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.mptcp.mp_tcprst import MIDDLEBOX_INTERFERENCE, MPTCP_SPECIFIC
from plait.wire.mptcp.remove_addr import RemoveAddr
from plait.wire.segment import FIN, Segment
from plait.wire.seq import unwrap32, unwrap64, unwrap_low32, wrap32, wrap64

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.units import Nanos


def on_segment(connection: Connection, now: Nanos, subflow: Subflow, segment: Segment) -> None:
    """Apply an acceptable segment of an open subflow."""
    if connection.mode is TCP:
        failing.on_segment(connection, segment)
        _on_plain(connection, now, subflow)
        return
    dss = segment.dss
    subflow.bare = dss is None and not segment.options
    if not connection.confirmed and subflow.first:
        handshake.confirm(connection, now, subflow, segment)
        if connection.mode is not MPTCP:
            _on_plain(connection, now, subflow)
            return
    if dss is not None:
        subflow.proven = True
        if _on_dss(connection, now, subflow, segment, dss) and not segment.options:
            return
    elif _shows_tcp(connection, now, subflow, segment):
        return
    if segment.options:
        _on_options(connection, now, subflow, segment)
    if subflow.phase is PRE_ESTABLISHED:
        joining.on_fourth_ack(connection, subflow)
    if segment.length and subflow.phase is not ENDED and not _goes_on(connection, subflow):
        _drain(connection, now, subflow)


def _shows_tcp(connection: Connection, now: Nanos, subflow: Subflow, segment: Segment) -> bool:
    """Fall back if a segment without a DSS tells that the path is none for Multipath TCP."""
    if _is_stripped(subflow):
        connection.infinite_due = fallback.possible(connection)
        _go_plain(connection, now, subflow, "an ACK of data has no Data ACK")
        return True
    if segment.flags & FIN and _ends_plainly(connection, subflow):
        on_silence(connection, now)
        return True
    return False


def _is_stripped(subflow: Subflow) -> bool:
    """Return whether the first ACK of our data shows that the path removes DSS (RFC 8684, 3.7)."""
    sender = subflow.tcp.sender
    acked = min(sender.snd_una, sender.stop) - subflow.early_sent
    return not subflow.proven and subflow.bare and acked > 1


def _ends_plainly(connection: Connection, subflow: Subflow) -> bool:
    """Return whether a FIN ends the stream: options vanish, or the peer fell back unheard."""
    unproven = not subflow.proven and reinjection.is_bare(connection)
    return unproven or reinjection.is_silent(connection)


def _on_plain(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Carry subflow octets and acknowledgments over to the stream, position by position."""
    tcp = subflow.tcp
    length = subflow.collect()
    if length and connection.receiver.discarding and tcp.sender.fin_acked:
        tcp_closing.refuse_data(tcp)
        connection.on_subflow_ended(now, subflow)
        return
    if length:
        dsn = subflow.consumed + connection.receive_offset
        connection.receiver.insert(dsn, subflow.take(length), length)
    sender = connection.sender
    acked = min(tcp.sender.snd_una, tcp.sender.stop) + connection.send_offset
    if sender.on_ack(acked):
        connection.on_data_acked(now)
    sender.on_window(tcp.sender.snd_una + tcp.sender.snd_wnd + connection.send_offset)
    if tcp.receiver.fin_at >= 0 or tcp.sender.fin_queued:
        closing.follow_tcp(connection, subflow)


def _on_dss(
    connection: Connection, now: Nanos, subflow: Subflow, segment: Segment, dss: Dss
) -> bool:
    """Apply a DSS; return whether that is all there is to do with the segment."""
    flags = dss.flags
    if flags & DATA_ACK:
        _on_data_ack(connection, now, subflow, segment, dss)
    if subflow.phase is ACTIVE:
        if not flags & MAPPING:
            return not segment.length
        if dss.length == segment.length and _take_whole(connection, now, subflow, dss):
            return True
    if not flags & MAPPING or subflow.phase is ENDED:
        return False
    last = subflow.last_dss
    if last is not None and _repeats(dss, last):
        if flags & DATA_FIN and dss.length == 1:
            subflow.tcp.receiver.ack_now = True  # a DATA_FIN that is repeated was not acknowledged
        return subflow.phase is ACTIVE and _goes_on(connection, subflow)
    subflow.last_dss = dss
    _on_mapping(connection, now, subflow, dss)
    if not segment.length and subflow.alive:
        _on_late_mapping(connection, now, subflow)
    return False


def _goes_on(connection: Connection, subflow: Subflow) -> bool:
    """Take what belongs to the mapping of what came before and does not reach its end.

    Returns whether it did; with a checksum it has to wait for that end.
    """
    reassembly = subflow.tcp.receiver.reassembly
    if reassembly.next >= subflow.awaits:
        return False
    if connection.checksum:
        return len(reassembly.ready) < MANY_PIECES
    start = subflow.consumed
    pieces = subflow.take_all()
    if pieces:
        _deliver(connection, start + subflow.shift, pieces, subflow.consumed - start)
    return True


def _repeats(dss: Dss, last: Dss) -> bool:
    """Return whether both declare the same mapping: offload repeats it on many packets."""
    return (
        last.ssn == dss.ssn
        and last.dsn == dss.dsn
        and last.length == dss.length
        and last.flags & DATA_FIN == dss.flags & DATA_FIN
    )


def _take_whole(connection: Connection, now: Nanos, subflow: Subflow, dss: Dss) -> bool:
    """Deliver all that waits on a subflow if this mapping is of just that: the usual case.

    Returns whether it was.
    """
    start = subflow.consumed
    length = dss.length
    if (
        subflow.tcp.receiver.reassembly.next - start != length
        or dss.ssn != wrap32(start - subflow.early_received, 0)
        or dss.flags & DATA_FIN
        or not length
        or (dss.checksum >= 0) != connection.checksum
        or not subflow.mappings.empty
    ):
        return False
    subflow.last_dss = dss
    idsn = connection.keys.remote_idsn
    near = connection.receiver.reassembly.next
    unwrap = unwrap64 if dss.flags & DSN_8 else unwrap_low32
    dsn = unwrap(dss.dsn, idsn, near)
    pieces = subflow.take_all()
    if connection.checksum:
        number = wrap64(dsn, idsn)
        if not dss_checksum_ok(number, dss.ssn, length, pieces, dss.checksum):
            mapping = Mapping(dsn, start, length, length, dss.checksum)
            _on_corrupt(connection, now, subflow, mapping, pieces)
            return True
    _deliver(connection, dsn, pieces, length)
    return True


def _on_data_ack(
    connection: Connection, now: Nanos, subflow: Subflow, segment: Segment, dss: Dss
) -> None:
    sender = connection.sender
    idsn = connection.keys.local_idsn
    ack = sender.snd_una
    if dss.data_ack != wrap64(ack, idsn):  # most segments of a one-way stream repeat it
        unwrap = unwrap64 if dss.flags & DATA_ACK_8 else unwrap_low32
        ack = unwrap(dss.data_ack, idsn, ack)
        if ack > sender.buffer.stop + 1:
            return
        if sender.on_ack(ack):
            connection.on_data_acked(now)
    sender.on_window(ack + (segment.window << subflow.tcp.sender.scale))


def _on_mapping(connection: Connection, now: Nanos, subflow: Subflow, dss: Dss) -> None:
    """Note a mapping and the DATA_FIN at its end."""
    receiver = connection.receiver
    idsn = connection.keys.remote_idsn
    near = receiver.reassembly.next
    unwrap = unwrap64 if dss.flags & DSN_8 else unwrap_low32
    dsn = unwrap(dss.dsn, idsn, near)
    if dss.length == 0:
        _on_infinite_mapping(connection, now, subflow)
        return
    if (dss.checksum >= 0) != connection.checksum and dss.length > 1:
        fallback.reset(connection, now, subflow, MPTCP_SPECIFIC)
        return
    length = dss.length
    if dss.flags & DATA_FIN:
        length -= 1
        closing.on_data_fin(connection, subflow, dsn + length)
    if length == 0:
        return
    early = subflow.early_received
    ssn = unwrap32(dss.ssn, 0, subflow.consumed - early) + early
    mapping = Mapping(dsn, ssn, length, dss.length, dss.checksum)
    _declare(connection, now, subflow, mapping)


def _declare(connection: Connection, now: Nanos, subflow: Subflow, mapping: Mapping) -> None:
    verdict = subflow.mappings.add(mapping, subflow.consumed)
    if verdict is Verdict.CONFLICT:
        connection.counters.dss_not_matching += 1
        fallback.fall_back_or_reset(connection, now, subflow, "contradictory mappings")
    elif verdict is Verdict.REFUSED:
        subflow.last_dss = None  # it may come again when there is room


def _on_infinite_mapping(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """The peer goes on as plain TCP (RFC 8684, 3.7)."""
    connection.counters.infinite_map_rx += 1
    if fallback.in_step(connection):
        fallback.fall_back(connection, "the peer sent an infinite mapping")
        _on_plain(connection, now, subflow)
    else:
        fallback.reset(connection, now, subflow, MPTCP_SPECIFIC)


def _on_options(connection: Connection, now: Nanos, subflow: Subflow, segment: Segment) -> None:
    """Apply everything but the DSS."""
    for option in segment.options:
        if isinstance(option, MpCapableData):
            if subflow.first and handshake.repeats(connection, option):
                _declare(connection, now, subflow, handshake.mapping_of(subflow, option))
        elif isinstance(option, MpFail):
            failing.on_fail(connection, now, subflow)
        elif isinstance(option, AddAddr):
            advertising.on_add_addr(connection, now, subflow, option)
        elif isinstance(option, RemoveAddr):
            removal.on_remove_addr(connection, now, subflow, option)
        elif isinstance(option, MpPrio):
            priorities.on_prio(connection, subflow, option)
    if closing.on_fastclose(connection, now, segment):
        return
    if subflow.phase is ACTIVE:
        joining.on_repeated_ack(subflow, segment)


def _on_late_mapping(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Deliver octets that waited for a mapping, if this one, on a segment without any, is it."""
    reached = connection.receiver.rcv_nxt
    _drain(connection, now, subflow)
    if connection.receiver.rcv_nxt > reached:
        subflow.tcp.receiver.ack_now = True


def _drain(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Move the subflow's octets to their places in the stream, as far as mappings tell them."""
    waiting = subflow.collect()
    while waiting > 0:
        mapping = subflow.mappings.find(subflow.consumed)
        if mapping is None:
            resume = subflow.mappings.next_start(subflow.consumed)
            if resume is not None and resume < subflow.consumed + waiting:
                waiting -= resume - subflow.consumed
                subflow.take(resume - subflow.consumed)  # never acknowledged; it comes again
                continue
            full = waiting > connection.receiver.capacity
            if subflow.bare or connection.receiver.rcv_nxt == 1 or full:
                _on_unmapped(connection, now, subflow)
            break
        if connection.checksum and waiting < mapping.length:
            subflow.awaits = mapping.ssn + mapping.length
            break
        start = subflow.consumed
        length = min(waiting, mapping.ssn + mapping.length - start)
        pieces = subflow.take(length)
        waiting -= length
        if connection.checksum and not _intact(connection, subflow, mapping, pieces):
            _on_corrupt(connection, now, subflow, mapping, pieces)
            return
        subflow.awaits = mapping.ssn + mapping.length
        subflow.shift = mapping.dsn - mapping.ssn
        _deliver(connection, start + subflow.shift, pieces, length)
    subflow.mappings.release(subflow.consumed)


def _intact(connection: Connection, subflow: Subflow, mapping: Mapping, pieces: Pieces) -> bool:
    dsn = wrap64(mapping.dsn, connection.keys.remote_idsn)
    ssn = wrap32(mapping.ssn - subflow.early_received, 0)
    return dss_checksum_ok(dsn, ssn, mapping.dll, pieces, mapping.checksum)


def _deliver(connection: Connection, dsn: int, pieces: Pieces, length: int) -> None:
    receiver = connection.receiver
    counters = connection.counters
    if dsn > receiver.reassembly.next:
        counters.ofo_queue += 1
    new = receiver.insert(dsn, pieces, length)
    if new < length:
        if dsn + length > receiver.limit():
            counters.no_dss_in_window += 1
        else:
            counters.duplicate_data += 1


def _on_unmapped(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Payload without a mapping: fall back, or give the subflow up (RFC 8684, 3.7)."""
    connection.counters.dss_fallback += 1
    _go_plain(connection, now, subflow, "data without a mapping")


def on_silence(connection: Connection, now: Nanos) -> None:
    """The only subflow delivers but brings no Data ACK: the path removes it (RFC 8684, 3.7)."""
    connection.infinite_due = True
    fallback.fall_back(connection, "acknowledged data gets no Data ACK")
    _on_plain(connection, now, connection.subflows[0])


def _go_plain(connection: Connection, now: Nanos, subflow: Subflow, reason: str) -> None:
    """Fall back and read on as plain TCP, or reset the subflow."""
    fallback.fall_back_or_reset(connection, now, subflow, reason)
    if connection.mode is TCP:
        _on_plain(connection, now, subflow)


def _on_corrupt(
    connection: Connection, now: Nanos, subflow: Subflow, mapping: Mapping, pieces: Pieces
) -> None:
    """A checksum failed (RFC 8684, 3.7).

    On the only subflow the octets are what the path makes of the stream: tell the peer by MP_FAIL
    and go on as plain TCP from them, as TCP itself would have.  With others, reset this one; the
    data was never acknowledged and comes again.
    """
    connection.counters.data_csum_err += 1
    connection.changed.append((subflow, Change.CHECKSUM_FAILED))
    fail = MpFail(wrap64(mapping.dsn, connection.keys.remote_idsn))
    contiguous = connection.receiver.reassembly.next == mapping.dsn and subflow.mappings.in_step(
        mapping.dsn - mapping.ssn
    )
    if not contiguous or not fallback.possible(connection):
        connection.counters.mp_fail_tx += 1
        subflow.tcp.abort((fail, *connection.version.reasons(MIDDLEBOX_INTERFERENCE)))
        connection.on_subflow_ended(now, subflow)
        return
    connection.receiver.fin_at = -1  # nothing the peer said of what follows is trusted
    _deliver(connection, mapping.dsn, pieces, mapping.length)
    failing.say(connection, subflow, fail)
    fallback.fall_back(connection, "a DSS checksum failed")
    failing.remind(connection, now, subflow, fail)
    _on_plain(connection, now, subflow)
