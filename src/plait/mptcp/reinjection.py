"""Sending data again elsewhere when a subflow fails it (RFC 8684, 3.3.6).

What was reinjected is still retransmitted on its own subflow until that acknowledges it; the peer
ignores the copy that comes later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.mptcp import fallback
from plait.mptcp.state import ACTIVE, TCP
from plait.tcp.receiver import NEVER
from plait.wire.mptcp.mp_tcprst import TOO_MUCH_OUTSTANDING_DATA, UNACCEPTABLE_PERFORMANCE

MAX_BACKOFF = 6
"""Doublings of data-level time-outs."""

PATIENCE = 2
"""Data-level time-outs before the only subflow, silent about the data level, means TCP."""

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos


def on_timeout(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """A retransmission time-out: give its data to subflows that answer, if there are any.

    After so many in a row as the settings say it is reset (RFC 8684, 3.3.6).
    """
    if not can_spare(connection, subflow):
        return
    backoff = subflow.tcp.sender.backoff
    if backoff == 1:
        give_up_on(connection, subflow)
    if 0 < connection.settings.bad_path_timeouts <= backoff and subflow.phase is ACTIVE:
        fallback.reset(connection, now, subflow, _grievance(connection, subflow))


def can_spare(connection: Connection, subflow: Subflow) -> bool:
    """Return whether another subflow works that could take the data of this one."""
    return any(one.can_send and not one.stale for one in connection.subflows if one is not subflow)


def give_up_on(connection: Connection, subflow: Subflow) -> None:
    """A subflow is stale: its data goes to others, until it answers."""
    if not subflow.doubted:
        connection.counters.subflow_stale += 1
    reinject_from(connection, subflow)


def _grievance(connection: Connection, subflow: Subflow) -> int:
    """Return why a subflow that fails is reset: what it holds is delivered, or held up by it."""
    una = connection.sender.snd_una
    runs = subflow.tcp.sender.runs
    delivered = all(run.dsn_stop <= una for run in runs)
    return TOO_MUCH_OUTSTANDING_DATA if delivered else UNACCEPTABLE_PERFORMANCE


def reinject_from(connection: Connection, subflow: Subflow) -> None:
    """Queue what the subflow sent and the peer did not Data-ACK."""
    if connection.mode is TCP:
        return
    una = connection.sender.snd_una
    for run in subflow.tcp.sender.runs:
        if not run.reinjected and run.dsn_stop > una:
            run.reinjected = True
            _reinject(connection, max(run.dsn, una), run.dsn_stop)


def _reinject(connection: Connection, start: int, stop: int) -> None:
    connection.reinjected = True
    connection.counters.mptcp_retrans += 1
    connection.sender.reinject.add(start, stop)


def arm(connection: Connection, now: Nanos) -> None:
    """Watch for data that subflows delivered and the peer does not Data-ACK."""
    sender = connection.sender
    if connection.mode is TCP or sender.snd_una >= sender.snd_nxt:
        connection.data_rto_at = NEVER
    elif connection.data_rto_at == NEVER:
        tries = min(connection.data_tries, MAX_BACKOFF)
        spans = [
            subflow.tcp.sender.rtt.backed_off(tries)
            for subflow in _working(connection)
            if subflow.can_send
        ]
        if spans:
            connection.data_rto_at = now + max(spans)


def _working(connection: Connection) -> list[Subflow]:
    """Return the subflows whose peer answers, or all that live if there are none."""
    alive = [subflow for subflow in connection.subflows if subflow.alive]
    return [subflow for subflow in alive if not subflow.stale] or alive


def is_bare(connection: Connection) -> bool:
    """Return whether the only subflow there ever was brings no DSS: none yet, or no more."""
    first = connection.subflows[0]
    return (first.bare or not first.proven) and fallback.in_step(connection)


def is_silent(connection: Connection) -> bool:
    """Return whether the only subflow acknowledged data and says nothing of the stream."""
    if not is_bare(connection):
        return False
    sender = connection.subflows[0].tcp.sender
    left = sender.stop - min(sender.snd_una, sender.stop)
    return connection.sender.snd_una < connection.sender.snd_nxt - left


def patient(connection: Connection) -> bool:
    """Return whether to wait once more, since data sent again could not be told from new data.

    A peer that fell back, or sits behind a box that removes its Data ACKs, takes it for new.
    """
    connection.data_rto_at = NEVER
    connection.data_tries += 1
    return connection.data_tries < PATIENCE


def on_data_timeout(connection: Connection) -> None:
    """Reinject the head of the stream unless a subflow still works on it."""
    connection.data_rto_at = NEVER
    sender = connection.sender
    head = sender.snd_una
    if head >= sender.snd_nxt or sender.reinject:
        return
    stop = sender.snd_nxt
    for subflow in _working(connection):
        for run in subflow.tcp.sender.runs:
            if run.dsn <= head < run.dsn_stop:
                return
            if run.dsn > head:
                stop = min(stop, run.dsn)
    connection.data_tries += 1
    _reinject(connection, head, stop)
