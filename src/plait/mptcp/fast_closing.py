"""FASTCLOSE_WAIT: an MP_FASTCLOSE on an ACK waits for the RST that answers it (RFC 6824, 3.5).

The application knows already that the connection is over.  One subflow is left to repeat the option
on, as long as there is hope that the peer can hear it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.mptcp.state import Phase, State
from plait.tcp.receiver import NEVER
from plait.tcp.state import Failure
from plait.wire.mptcp.mp_fastclose import MpFastclose

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos

TRIES: Final = 4
"""Transmissions of MP_FASTCLOSE: one, and three more are recommended."""


def begin(connection: Connection, now: Nanos, subflow: Subflow, failure: Failure) -> None:
    """Tell the peer on this subflow, the last one, that the connection is over."""
    connection.failure = failure
    connection.state = State.FASTCLOSE_WAIT
    connection.receiver.discard()
    connection.data_rto_at = connection.data_fin_at = NEVER
    connection.data_fin_tries = 0
    connection.tasks.clear()
    subflow.phase = Phase.ABORTING
    subflow.signals.clear()
    subflow.data_fin_due = False
    _send(connection, now, subflow)


def on_timeout(connection: Connection, now: Nanos) -> None:
    """No RST came within a retransmission time-out: say it again, or no more."""
    subflow = next(one for one in connection.subflows if one.phase is Phase.ABORTING)
    connection.data_fin_tries += 1
    if connection.data_fin_tries < TRIES:
        _send(connection, now, subflow)
    else:
        subflow.tcp.abort((MpFastclose(connection.keys.remote),))
        connection.on_subflow_ended(now, subflow)


def _send(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    connection.counters.mp_fastclose_tx += 1
    subflow.leading = MpFastclose(connection.keys.remote)
    connection.linger_until = now + subflow.tcp.sender.rtt.backed_off(connection.data_fin_tries)
