"""Turning what changed in a connection into the events its application waits for.

A connection is introduced by `Established` or `Accepted` before any other event, and nothing
follows its `Closed` or `Lost`.
"""

from __future__ import annotations

from typing import Final

from plait.host.connections import Entry
from plait.host.events import (
    Accepted,
    Closed,
    Established,
    Event,
    LossReason,
    Lost,
    Readable,
    SubflowDown,
    SubflowPriority,
    SubflowUp,
    Urgent,
    Writable,
)
from plait.mptcp.state import Change, State
from plait.tcp.state import Failure

_REASONS: Final = {
    Failure.REFUSED: LossReason.REFUSED,
    Failure.UNREACHABLE: LossReason.UNREACHABLE,
    Failure.RESET: LossReason.RESET,
    Failure.TIMED_OUT: LossReason.TIMED_OUT,
    Failure.ABORTED: LossReason.ABORTED,
}


def report(entry: Entry, events: list[Event]) -> None:
    """Queue what the application has not heard yet, in the order it happened."""
    connection = entry.connection
    if not entry.accepted and connection.state is not State.OPENING and not connection.failure:
        entry.accepted = True
        events.append(_opened(entry))
    if entry.accepted and connection.changed:
        _report_subflows(entry, events)
    if connection.failure is not None:
        entry.closed_told = True
        if entry.accepted or entry.listener_id is None:
            events.append(
                Lost(entry.connection_id, _REASONS[connection.failure], connection.info())
            )
        return
    _report_stream(entry, events)


def _opened(entry: Entry) -> Event:
    if entry.listener_id is None:
        return Established(entry.connection_id)
    return Accepted(entry.connection_id, entry.listener_id)


def _report_subflows(entry: Entry, events: list[Event]) -> None:
    connection_id = entry.connection_id
    for subflow, change in entry.connection.changed:
        if change is Change.UP:
            events.append(SubflowUp(connection_id, subflow.path))
        elif not subflow.was_active:
            continue
        elif change is Change.DOWN:
            events.append(SubflowDown(connection_id, subflow.path, subflow.reset_reason))
        else:
            events.append(SubflowPriority(connection_id, subflow.path, subflow.backup))


def _report_stream(entry: Entry, events: list[Event]) -> None:
    connection = entry.connection
    receiver = connection.receiver
    urgent = connection.urgent_end()
    if urgent > entry.urgent_told:
        entry.urgent_told = urgent
        events.append(Urgent(entry.connection_id, urgent))
    if not entry.readable_told and (receiver.unread or receiver.ended):
        entry.readable_told = True
        events.append(Readable(entry.connection_id))
    if connection.sender.starved and connection.sender.room_again():
        events.append(Writable(entry.connection_id))
    seen = entry.end_seen or receiver.discarding
    if seen and connection.state in (State.TIME_WAIT, State.CLOSED):
        entry.closed_told = True
        events.append(Closed(entry.connection_id, connection.info()))
