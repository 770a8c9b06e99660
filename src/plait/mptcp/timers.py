"""What happens to a connection when nothing arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.mptcp import closing, incoming, reinjection, tasks, watching
from plait.tcp.receiver import NEVER
from plait.tcp.state import CLOSED, Failure

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos


def next_timeout(connection: Connection) -> Nanos:
    """Return the next deadline, `NEVER` if there is none."""
    soonest = connection.data_rto_at
    if connection.data_fin_at < soonest:
        soonest = connection.data_fin_at
    if connection.lonely_until < soonest:
        soonest = connection.lonely_until
    if connection.linger_until < soonest:
        soonest = connection.linger_until
    if connection.troubles.watch_at < soonest:
        soonest = connection.troubles.watch_at
    for subflow in connection.subflows:
        if subflow.tcp.state is not CLOSED:
            due = min(subflow.tcp.next_timeout(), subflow.join_ack_at)
            if due < soonest:
                soonest = due
    if connection.addresses.announcements:
        soonest = min(soonest, connection.addresses.next_timeout())
    if connection.tasks:
        soonest = min(soonest, tasks.next_timeout(connection))
    return soonest


def handle_timeout(connection: Connection, now: Nanos) -> None:
    """Do what is due at `now`."""
    for subflow in connection.subflows:
        if subflow.tcp.state is not CLOSED and subflow.tcp.next_timeout() <= now:
            _on_subflow_time(connection, now, subflow)
    if connection.troubles.watch_at <= now:
        watching.on_time(connection, now)
    if connection.tasks:
        tasks.handle_timeout(connection, now)
    if connection.data_rto_at <= now:
        _on_data_timeout(connection, now)
    if connection.lonely_until <= now:
        connection.lonely_until = NEVER
        connection.fail(Failure.TIMED_OUT)
    if connection.linger_until <= now:
        closing.on_linger_over(connection, now)
    closing.settle(connection, now)


def _on_subflow_time(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Let TCP do what is due, and see whether its data has to go elsewhere."""
    backoff = subflow.tcp.sender.backoff
    subflow.tcp.handle_timeout(now)
    if subflow.tcp.ended:
        connection.on_subflow_ended(now, subflow)
    elif subflow.tcp.sender.backoff > backoff:
        reinjection.on_timeout(connection, now, subflow)


def _on_data_timeout(connection: Connection, now: Nanos) -> None:
    """Delivered data has no Data ACK: send it again, or give Multipath TCP up."""
    if not reinjection.is_silent(connection):
        reinjection.on_data_timeout(connection)
        if connection.data_tries > connection.settings.data_retries:
            closing.abandon(connection, now)
    elif not reinjection.patient(connection):
        incoming.on_silence(connection, now)
