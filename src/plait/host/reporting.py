"""Turning what changed in a connection into the events its application waits for.

A connection is introduced by `Established` or `Accepted` before any other event, and nothing
follows its `Closed` or `Lost`.
"""

from __future__ import annotations

from typing import Final

from plait.host.connections import Entry
from plait.host.events import (
    Accepted,
    AddressAdvertised,
    AddressWithdrawn,
    ChecksumFailed,
    Closed,
    Established,
    Event,
    FellBack,
    JoinFailed,
    LossReason,
    Lost,
    PolicyFailed,
    SubflowDown,
    SubflowEnd,
    SubflowPriority,
    SubflowUp,
    Urgent,
    Writable,
)
from plait.mptcp.state import AddressChange, Change, State
from plait.mptcp.subflow import Subflow
from plait.tcp.state import Failure
from plait.units import Nanos
from plait.wire.mptcp.mp_tcprst import MpTcprst

_REASONS: Final = {
    Failure.REFUSED: LossReason.REFUSED,
    Failure.UNREACHABLE: LossReason.UNREACHABLE,
    Failure.RESET: LossReason.RESET,
    Failure.TIMED_OUT: LossReason.TIMED_OUT,
    Failure.ABORTED: LossReason.ABORTED,
}

_ENDS: Final = {
    Failure.REFUSED: SubflowEnd.REFUSED,
    Failure.UNREACHABLE: SubflowEnd.UNREACHABLE,
    Failure.RESET: SubflowEnd.RESET,
    Failure.TIMED_OUT: SubflowEnd.TIMED_OUT,
    Failure.ABORTED: SubflowEnd.ABORTED,
}


def report(now: Nanos, entry: Entry, events: list[Event]) -> None:
    """Queue what the application has not heard yet, in the order it happened."""
    connection = entry.connection
    if not entry.accepted and connection.state is not State.OPENING and not connection.failure:
        entry.accepted = True
        events.append(_opened(entry))
        _report_fallback(entry, events)
    if entry.accepted and connection.changed:
        _report_changes(entry, events)
    if entry.accepted and connection.troubles.failures:
        failures, connection.troubles.failures = connection.troubles.failures, ()
        events += [PolicyFailed(entry.connection_id, *failure) for failure in failures]
    if connection.failure is not None:
        entry.closed_told = True
        if entry.accepted or entry.listener_id is None:
            events.append(
                Lost(entry.connection_id, _REASONS[connection.failure], connection.info(now))
            )
        return
    _report_stream(now, entry, events)


def _opened(entry: Entry) -> Event:
    if entry.listener_id is None:
        return Established(entry.connection_id)
    return Accepted(entry.connection_id, entry.listener_id)


def _report_changes(entry: Entry, events: list[Event]) -> None:
    """Queue what became of subflows and of the peer's addresses."""
    for subflow, change in entry.connection.changed:
        if isinstance(change, AddressChange):
            events.append(_address_event(entry.connection_id, change))
        elif change is Change.FELL_BACK:
            _report_fallback(entry, events)
        else:
            events += _subflow_events(entry.connection_id, subflow, change)


def _report_fallback(entry: Entry, events: list[Event]) -> None:
    """Tell once that the connection is plain TCP, unless nobody wanted more."""
    cause = entry.connection.fallback_reason
    if cause is not None and entry.settings.mptcp and not entry.fallback_told:
        entry.fallback_told = True
        events.append(FellBack(entry.connection_id, cause))


def _address_event(connection_id: int, change: AddressChange) -> Event:
    if change.present:
        return AddressAdvertised(connection_id, change.address_id, change.address, change.port)
    return AddressWithdrawn(connection_id, change.address_id, change.address)


def _subflow_events(connection_id: int, subflow: Subflow, change: Change) -> list[Event]:
    """Return what to tell of a change of one subflow; joins of the peer that fail are its own."""
    path = subflow.path
    if change is Change.UP:
        return [SubflowUp(connection_id, path)]
    if change is Change.DOWN:
        end, reason = _end_of(subflow)
        if subflow.was_active:
            return [SubflowDown(connection_id, path, end, reason)]
        return [JoinFailed(connection_id, path, end, reason)] if subflow.initiator else []
    if change is Change.PRIORITY:
        told = SubflowPriority(connection_id, path, subflow.backup)
        return [told] if subflow.was_active else []
    return [ChecksumFailed(connection_id, path, change is Change.FAIL_RECEIVED)]


def _end_of(subflow: Subflow) -> tuple[SubflowEnd, int | None]:
    """Return how a subflow ended, and the MP_TCPRST reason for it."""
    failure = subflow.tcp.failure
    if failure is None:
        return SubflowEnd.CLOSED, None
    reason = subflow.reset_reason
    if failure is Failure.ABORTED:
        options = subflow.tcp.reset_due or ()
        reasons = [option.reason for option in options if isinstance(option, MpTcprst)]
        reason = reasons[0] if reasons else None
    return _ENDS[failure], reason


def _report_stream(now: Nanos, entry: Entry, events: list[Event]) -> None:
    connection = entry.connection
    receiver = connection.receiver
    urgent = connection.urgent_end()
    if urgent > entry.urgent_told:
        entry.urgent_told = urgent
        events.append(Urgent(entry.connection_id, urgent))
    if not entry.readable_told and (receiver.unread or receiver.ended):
        entry.readable_told = True
        events.append(entry.readable)
    if connection.sender.starved and connection.sender.room_again():
        events.append(Writable(entry.connection_id))
    seen = entry.end_seen or receiver.discarding
    if seen and connection.state in (State.TIME_WAIT, State.CLOSED):
        entry.closed_told = True
        events.append(Closed(entry.connection_id, connection.info(now)))
