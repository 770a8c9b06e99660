"""Ending a connection: DATA_FIN and MP_FASTCLOSE (RFC 8684, 3.3.3 and 3.5).

Subflows are closed with FINs only once both DATA_FINs are acknowledged, as Linux does: a subflow
that closed early could carry nothing of the other direction any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.mptcp import advertising, fallback, fast_closing, orphans, outgoing, reinjection
from plait.mptcp.reinjection import MAX_BACKOFF
from plait.mptcp.state import Change, Input, Mode, Phase, State, step
from plait.tcp.receiver import NEVER
from plait.tcp.state import Failure
from plait.tcp.state import State as TcpState
from plait.wire.crypto import same
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_fastclose import MpFastclose
from plait.wire.mptcp.mp_tcprst import (
    TOO_MUCH_OUTSTANDING_DATA,
    UNSPECIFIED,
    MpTcprst,
)
from plait.wire.option import Option
from plait.wire.segment import Segment

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos
    from plait.wire.mptcp.dss import Dss


def close(connection: Connection) -> None:
    """End our direction once all that was written is sent."""
    if connection.sender.fin_queued:
        return
    connection.sender.fin_queued = True
    connection.state = step(connection.state, Input.CLOSE)


def _advance(connection: Connection, now: Nanos, given: Input) -> None:
    connection.state = step(connection.state, given)
    if connection.state is not State.TIME_WAIT:
        return
    connection.linger_until = now + connection.settings.time_wait
    for subflow in connection.subflows:
        if not subflow.alive:
            continue
        if subflow.phase is Phase.OPENING:
            subflow.tcp.abort(connection.version.reasons(UNSPECIFIED))
        elif subflow.stale:  # what it still holds was delivered elsewhere (RFC 8684, 3.3.3)
            subflow.tcp.abort(connection.version.reasons(TOO_MUCH_OUTSTANDING_DATA))
        else:
            subflow.tcp.close()
        if subflow.tcp.state is TcpState.CLOSED:
            connection.on_subflow_ended(now, subflow)
    if not any(subflow.alive for subflow in connection.subflows):
        connection.state = step(connection.state, Input.SUBFLOWS_CLOSED)


def retire(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Close one subflow in order; what it carries goes elsewhere too."""
    reinjection.reinject_from(connection, subflow)
    if subflow.phase is Phase.OPENING:
        subflow.tcp.abort(connection.version.reasons(UNSPECIFIED))
    else:
        subflow.tcp.close()
    if subflow.tcp.state is TcpState.CLOSED:
        connection.on_subflow_ended(now, subflow)


def follow(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Do what the state of a subflow calls for that is not ESTABLISHED."""
    state = subflow.tcp.state
    if state is TcpState.CLOSE_WAIT and connection.mode is Mode.MPTCP:
        if not is_half_closed(connection, subflow):
            retire(connection, now, subflow)
    elif state is TcpState.CLOSED:
        connection.on_subflow_ended(now, subflow)
    elif state is TcpState.TIME_WAIT:
        connection.parted.append(subflow)


def is_half_closed(connection: Connection, subflow: Subflow) -> bool:
    """Return whether the peer's FIN only follows its DATA_FIN, and our data need this subflow."""
    if connection.receiver.fin_at < 0:
        return False
    return not any(other.can_send and other is not subflow for other in connection.subflows)


def is_delivered(connection: Connection) -> bool:
    """Return whether only the Data ACK of our DATA_FIN is missing: both sides have all data.

    A peer that got the DATA_FIN may be gone before we hear of it, as in LAST-ACK of TCP.
    """
    ends = connection.state in (State.CLOSING, State.LAST_ACK)
    return ends and connection.sender.snd_una >= connection.sender.buffer.stop


def part(connection: Connection, now: Nanos, subflow: Subflow) -> Dss | None:
    """Give a subflow in TIME-WAIT to the host; return the Data ACK for what it still answers."""
    subflow.tcp.part()
    connection.on_subflow_ended(now, subflow)
    known = connection.mode is Mode.MPTCP and connection.keys.remote
    return outgoing.data_ack(connection) if known else None


def time_wait(connection: Connection) -> Nanos:
    """Return how long a subflow stays in TIME-WAIT: less once the stream has ended in order."""
    settings = connection.settings
    over = connection.mode is Mode.MPTCP and connection.state is State.TIME_WAIT
    return min(settings.time_wait, settings.subflow_time_wait) if over else settings.time_wait


def on_linger_over(connection: Connection, now: Nanos) -> None:
    """Reset the subflows whose FINs were not exchanged in time; the stream needs them no more."""
    connection.linger_until = NEVER
    if connection.state is State.FASTCLOSE_WAIT:
        fast_closing.on_timeout(connection, now)
        return
    if connection.state is not State.TIME_WAIT:
        orphans.on_time(connection, now)
        return
    for subflow in connection.subflows:
        if subflow.alive and subflow.tcp.state is not TcpState.TIME_WAIT:
            subflow.tcp.abort(connection.version.reasons(TOO_MUCH_OUTSTANDING_DATA))
            connection.on_subflow_ended(now, subflow)


def on_data_fin(connection: Connection, subflow: Subflow, position: int) -> None:
    """Note where the peer's stream ends; it is acknowledged once all before it is here.

    Like data it has to lie in the window: a guess would keep the true end from being believed.
    """
    receiver = connection.receiver
    if receiver.fin_at < 0 and receiver.reassembly.next <= position <= receiver.limit():
        receiver.fin_at = position
    subflow.tcp.receiver.ack_now = True


def settle(connection: Connection, now: Nanos) -> None:
    """Take the steps that data and acknowledgments have made possible."""
    if connection.receiver.fin_at < 0 and not connection.sender.fin_queued:
        return  # neither direction ends yet
    if connection.receiver.ended and connection.state in (
        State.ESTABLISHED,
        State.FIN_WAIT_1,
        State.FIN_WAIT_2,
    ):
        connection.acknowledge()
        _advance(connection, now, Input.DATA_FIN_RECEIVED)
    if connection.sender.fin_acked and connection.state in (
        State.FIN_WAIT_1,
        State.CLOSING,
        State.LAST_ACK,
    ):
        connection.data_fin_at = NEVER
        _advance(connection, now, Input.DATA_FIN_ACKED)
    if connection.sender.fin_sendable and connection.state is not State.OPENING:
        _send_data_fin(connection, now)


def _send_data_fin(connection: Connection, now: Nanos) -> None:
    """Put the DATA_FIN on every subflow, and again on a doubling timer (RFC 8684, 3.3.3)."""
    if connection.mode is Mode.TCP:
        connection.subflows[0].tcp.close()
        return
    if connection.data_fin_at != NEVER and connection.data_fin_at > now:
        return
    active = [subflow for subflow in connection.subflows if subflow.phase is Phase.ACTIVE]
    if not active:
        connection.data_fin_at = NEVER
        return
    bare = reinjection.is_bare(connection)
    first = connection.subflows[0].tcp
    answered = first.keepalive.heard_at >= connection.data_fin_sent
    if connection.data_fin_tries >= reinjection.PATIENCE and bare and answered:
        connection.infinite_due = True
        fallback.fall_back(connection, "the DATA_FIN gets no Data ACK")
        first.close()
        return
    if connection.data_fin_tries >= connection.settings.data_retries:
        abandon(connection, now)
        return
    for subflow in active:
        subflow.data_fin_due = True
    if bare and connection.data_fin_tries:
        first.probe_due = True  # tells a path that removes options from one that is down
    connection.data_fin_sent = now
    tries = min(connection.data_fin_tries, MAX_BACKOFF)
    connection.data_fin_at = now + max(sub.tcp.sender.rtt.backed_off(tries) for sub in active)
    connection.data_fin_tries += 1


def abandon(connection: Connection, now: Nanos) -> None:
    """Give up a peer that answers no more, at the data level or at all."""
    abort(connection, now, Failure.TIMED_OUT)


def follow_tcp(connection: Connection, subflow: Subflow) -> None:
    """After fall-back FINs end the stream (RFC 8684, 3.7)."""
    tcp = subflow.tcp
    if tcp.receiver.rcv_nxt > tcp.receiver.reassembly.next and connection.receiver.fin_at < 0:
        connection.receiver.fin_at = connection.receiver.reassembly.next
    if tcp.state in (TcpState.FIN_WAIT_2, TcpState.TIME_WAIT) or (
        tcp.state is TcpState.CLOSED and tcp.failure is None and tcp.sender.fin_queued
    ):
        connection.sender.on_ack(connection.sender.buffer.stop + 1)


def abort(connection: Connection, now: Nanos, failure: Failure) -> None:
    """Abort everything: RST on every subflow, with the peer's key if it is one of version 1.

    Version 0 spares one subflow, which tells the key and waits for a RST (RFC 8684, 3.5, option A).
    """
    options: tuple[Option, ...] = ()
    spared: Subflow | None = None
    if connection.mode is Mode.MPTCP and connection.keys.remote:
        if connection.version.fastclose_on_reset:
            connection.counters.mp_fastclose_tx += 1
            options = (MpFastclose(connection.keys.remote), MpTcprst(UNSPECIFIED))
        elif connection.confirmed and connection.state is not State.TIME_WAIT:
            spared = advertising.carrier(connection)
    rest = [one for one in connection.subflows if one.alive and one is not spared]
    for subflow in rest:
        subflow.tcp.abort(options)
    if spared is not None:
        fast_closing.begin(connection, now, spared, failure)
    for subflow in rest:
        connection.on_subflow_ended(now, subflow)
    if spared is None:
        connection.fail(failure)


def on_reset_options(
    connection: Connection, now: Nanos, subflow: Subflow, segment: Segment
) -> None:
    """Note what a RST of the peer says beside the end of a subflow."""
    for option in segment.options:
        if isinstance(option, MpTcprst):
            connection.counters.mp_rst_rx += 1
            subflow.reset_reason = option.reason
            subflow.transient = option.transient
        elif isinstance(option, MpFail):
            connection.counters.mp_fail_rx += 1
            connection.changed.append((subflow, Change.FAIL_RECEIVED))
    if connection.version.fastclose_on_reset:
        on_fastclose(connection, now, segment)


def on_fastclose(connection: Connection, now: Nanos, segment: Segment) -> bool:
    """Abort if the segment carries MP_FASTCLOSE with our key; any other is ignored."""
    for option in segment.options:
        if isinstance(option, MpFastclose) and same(option.key, connection.keys.local):
            connection.counters.mp_fastclose_rx += 1
            for subflow in connection.subflows:
                if subflow.alive:
                    subflow.tcp.abort(connection.version.reasons(UNSPECIFIED))
            connection.on_reset(now)
            return True
    return False
