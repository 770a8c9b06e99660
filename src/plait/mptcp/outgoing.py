"""What leaves: data granted to subflows, and the options of every segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.mptcp import advertising, closing, granting, handshake, joining, reinjection, runs
from plait.mptcp.state import ACTIVE, PRE_ESTABLISHED, TCP
from plait.tcp import segments
from plait.wire.checksum import dss_checksum
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import (
    DATA_ACK,
    DATA_ACK_8,
    DATA_FIN,
    NO_CHECKSUM,
    Dss,
)
from plait.wire.mptcp.mp_capable import MpCapableAck, MpCapableData
from plait.wire.segment import ABSENT, ACK, FIN, RST, SYN, Segment
from plait.wire.seq import MASK32, wrap64

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos

OPTION_SPACE: Final = 40


def transmit(connection: Connection, now: Nanos, limit: int) -> list[Segment]:
    """Grant data and return at most about `limit` segments."""
    if _quiet(connection, now):
        reinjection.arm(connection, now)
        return []
    if connection.addresses.announcements:
        advertising.send_due(connection, now)
    if connection.widths.narrow:
        connection.widths.settle(now, connection.sender.snd_nxt, connection.receiver.rcv_nxt)
    out: list[Segment] = []
    for subflow in connection.subflows:
        if subflow.join_ack_at <= now:
            joining.repeat_ack(connection, now, subflow)
    granting.grant(connection, now, limit)
    if connection.sender.fin_queued:
        closing.settle(connection, now)
    for subflow in connection.subflows:
        if (
            len(out) < limit
            and _owes(subflow)
            and (subflow.alive or subflow.tcp.reset_due is not None)
        ):
            out += _transmit_on(connection, now, subflow, limit - len(out))
    return out


def _transmit_on(connection: Connection, now: Nanos, subflow: Subflow, limit: int) -> list[Segment]:
    """Return what leaves on one subflow, complete with the options of Multipath TCP."""
    tcp = subflow.tcp
    scale = 0 if tcp.syn_due else tcp.receiver.scale
    tcp.window = connection.receiver.offer(scale)
    segments = tcp.transmit(now, limit)
    if subflow.signals or subflow.data_fin_due or subflow.leading is not None:
        _add_signals(connection, now, subflow, segments)
    if segments:
        _complete(connection, subflow, segments)
        connection.receiver.on_told(tcp.window)
    return segments


def _quiet(connection: Connection, now: Nanos) -> bool:
    """Return whether nothing is to leave, as after most segments that need no answer at once."""
    sender = connection.sender
    if sender.buffer.stop > sender.snd_nxt or sender.reinject.total or sender.fin_queued:
        return False
    if connection.addresses.announcements:
        return False
    for subflow in connection.subflows:
        if _owes(subflow) or subflow.join_ack_at <= now:
            return False
    return True


def _owes(subflow: Subflow) -> bool:
    """Return whether a subflow may have segments to send."""
    return (
        subflow.tcp.busy
        or subflow.data_fin_due
        or subflow.leading is not None
        or len(subflow.signals) > 0
    )


def _add_signals(
    connection: Connection, now: Nanos, subflow: Subflow, segments: list[Segment]
) -> None:
    """Add the DATA_FIN and waiting options, each on a pure ACK of its own."""
    if subflow.leading is not None:
        _lead(subflow, now, segments)
    if subflow.data_fin_due and subflow.phase is ACTIVE:
        subflow.data_fin_due = False
        segment = _pure_ack(subflow, now)
        segment.dss = _data_fin(connection)
        segments.append(segment)
    while subflow.signals and subflow.signal_budget > 0 and subflow.phase is ACTIVE:
        subflow.signal_budget -= 1
        segment = _pure_ack(subflow, now)
        segment.options = subflow.signals.pop(0)
        segments.append(segment)


def _lead(subflow: Subflow, now: Nanos, segments: list[Segment]) -> None:
    """Add the option that goes first: what follows MP_FAIL is plain TCP already."""
    option, subflow.leading = subflow.leading, None
    keys = isinstance(option, MpCapableAck)
    if keys and segments and segments[0].flags == ACK and not segments[0].length:
        return  # the third ACK is there already and gets the keys
    segments.insert(0, _pure_ack(subflow, now))
    segments[0].options = () if option is None else (option,)


def _pure_ack(subflow: Subflow, now: Nanos) -> Segment:
    segment = segments.bare(subflow.tcp, now, ACK, subflow.tcp.sender.snd_nxt)
    segment.sack = ()
    return segment


def _data_fin(connection: Connection) -> Dss:
    """Return the mapping of a DATA_FIN alone: SSN 0, length 1 (RFC 8684, 3.3.3)."""
    dsn = wrap64(connection.sender.buffer.stop, connection.keys.local_idsn)
    checksum = dss_checksum(dsn, 0, 1, ()) if connection.checksum else NO_CHECKSUM
    return connection.widths.mapping(DATA_FIN, dsn, 0, 1, checksum)


def _complete(connection: Connection, subflow: Subflow, segments: list[Segment]) -> None:
    """Add what Multipath TCP says on every segment: keys, HMAC or Data ACK."""
    if connection.mode is TCP:
        if connection.infinite_due:
            _map_infinitely(connection, subflow, segments)
        return
    if not connection.keys.remote:
        return  # a challenge ACK before the third one
    wide = connection.widths.ack
    number = _acknowledged(connection)
    opening = not connection.confirmed or subflow.phase is PRE_ESTABLISHED
    for segment in segments:
        if segment.flags & (SYN | RST):
            continue
        if (opening or segment.options) and _goes_without(connection, subflow, segment):
            continue
        mapped = segment.dss
        if mapped is None:
            segment.dss = Dss(DATA_ACK | wide, number)
        else:
            if mapped.flags & DATA_ACK:  # it left before, with another Data ACK
                flags = mapped.flags & ~DATA_ACK_8
                mapped = Dss(flags, 0, mapped.dsn, mapped.ssn, mapped.length, mapped.checksum)
                segment.dss = mapped
            mapped.flags |= DATA_ACK | wide
            mapped.data_ack = number
        if segment.sack:
            _trim_sack(segment)


def _goes_without(connection: Connection, subflow: Subflow, segment: Segment) -> bool:
    """Return whether no DSS goes with a segment; complete what still proves our key."""
    if subflow.phase is PRE_ESTABLISHED:
        segment.options = (joining.third_ack(connection, subflow),)
        return True
    if connection.initiator and subflow.first and not connection.confirmed:
        if segment.length == 0:
            segment.options = (handshake.repeat_keys(connection),)
            return True
        if segment.dss is None:
            return True
    return _excludes_dss(segment)


def _map_infinitely(connection: Connection, subflow: Subflow, segments: list[Segment]) -> None:
    """Put the infinite mapping on a FIN: no data was left to carry it."""
    at = subflow.tcp.sender.stop - subflow.early_sent
    for segment in segments:
        if segment.flags & FIN:
            segment.dss = runs.infinite(connection, connection.sender.buffer.stop, at)


def _excludes_dss(segment: Segment) -> bool:
    """Return whether an option leaves no room for a DSS, or is a mapping itself."""
    return any(isinstance(option, AddAddr | MpCapableData) for option in segment.options)


def data_ack(connection: Connection) -> Dss:
    """Return the Data ACK of what arrived in order."""
    return Dss(DATA_ACK | connection.widths.ack, _acknowledged(connection))


def _acknowledged(connection: Connection) -> int:
    """Return the number of a Data ACK in the width that is due."""
    ack = wrap64(connection.receiver.rcv_nxt, connection.keys.remote_idsn)
    return ack if connection.widths.ack else ack & MASK32


def _trim_sack(segment: Segment) -> None:
    """Leave as many SACK blocks as fit beside timestamps and Data ACK."""
    taken = 12 + 4 + (12 if segment.ts_val != ABSENT else 0)
    segment.sack = segment.sack[: (OPTION_SPACE - taken) // 8]
