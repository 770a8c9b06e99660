"""What happens when nothing arrives: retransmission, window probes and the delayed ACK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.tcp import closing
from plait.tcp.receiver import NEVER
from plait.tcp.state import SYNCHRONIZED, Failure, State
from plait.units import Nanos

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection


def next_timeout(connection: TcpConnection) -> Nanos:
    """Return the next deadline, `NEVER` if there is none."""
    soonest = min(
        connection.receiver.ack_deadline,
        connection.time_wait_until,
        connection.persist_at,
        connection.keepalive.deadline,
        connection.path_mtu.deadline,
    )
    sender = connection.sender
    if sender.snd_nxt > sender.snd_una and connection.state is not State.CLOSED:
        soonest = min(soonest, sender.timeout_at())
        if sender.backoff and connection.settings.user_timeout:
            soonest = min(soonest, connection.unanswered_since + connection.settings.user_timeout)
    return soonest


def handle_timeout(connection: TcpConnection, now: Nanos) -> None:
    """Do what is due at `now`."""
    receiver = connection.receiver
    if receiver.ack_deadline <= now:
        receiver.ack_deadline = NEVER
        receiver.ack_now = True
    if connection.time_wait_until <= now:
        closing.on_time_wait_over(connection)
    if connection.persist_at <= now:
        _on_persist_timeout(connection, now)
    if connection.keepalive.deadline <= now:
        connection.keepalive.on_timeout(connection, now)
    if connection.path_mtu.deadline <= now:
        connection.path_mtu.on_deadline(connection)
    sender = connection.sender
    if connection.state is State.CLOSED or not sender.outstanding():
        return
    if sender.backoff and _user_timed_out(connection, now):
        connection.fail(Failure.TIMED_OUT)
    elif sender.timeout_at() <= now:
        _on_retransmission_timeout(connection, now)


def _on_retransmission_timeout(connection: TcpConnection, now: Nanos) -> None:
    sender = connection.sender
    opening = connection.state in (State.SYN_SENT, State.SYN_RECEIVED)
    settings = connection.settings
    if not sender.backoff:
        connection.unanswered_since = sender.timer_base
    if sender.backoff >= (settings.syn_retries if opening else settings.retries):
        connection.fail(Failure.TIMED_OUT)
        return
    if opening:
        sender.back_off(now)
        connection.syn_due = True
        return
    sender.on_timeout(now)
    connection.path_mtu.on_retransmission_timeout(connection, now)
    connection.fin_due = sender.fin_queued


def _user_timed_out(connection: TcpConnection, now: Nanos) -> bool:
    """Return whether the user wants to wait no longer for an answer (RFC 9293, 3.8.3)."""
    limit = connection.settings.user_timeout
    return limit > 0 and now - connection.unanswered_since >= limit


def _on_persist_timeout(connection: TcpConnection, now: Nanos) -> None:
    """Probe the window; a peer that answers may keep it closed for ever, a dead one not."""
    connection.persist_at = NEVER
    connection.persist_tries += 1
    if not connection.unanswered:
        connection.unanswered_since = now
    connection.unanswered += 1
    connection.probe_due = True
    if connection.unanswered > connection.settings.retries or _user_timed_out(connection, now):
        connection.fail(Failure.TIMED_OUT)


def arm_persist(connection: TcpConnection, now: Nanos) -> None:
    """Probe a closed window while data waits (RFC 9293, 3.8.6.1)."""
    sender = connection.sender
    if not connection.waiting and sender.stop <= sender.snd_nxt:
        connection.persist_tries = 0
    elif (
        connection.persist_at == NEVER
        and sender.snd_nxt <= sender.snd_una
        and connection.state in SYNCHRONIZED
    ):
        connection.persist_at = now + sender.rtt.backed_off(connection.persist_tries)
