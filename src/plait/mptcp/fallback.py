"""Fall-back: going on as plain TCP where Multipath TCP cannot (RFC 8684, 3.7).

It is possible as long as the one subflow carries the stream octet for octet: no other subflow ever
carried any, nothing was reinjected, nothing is out of order.  Then stream and subflow positions
differ by a constant, which is all that the infinite mapping says.  Later only a reset of the
subflow is left, with MP_TCPRST reason 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.mptcp.state import Change, Mode, Phase
from plait.tcp.receiver import NEVER
from plait.wire.mptcp.mp_tcprst import MAY_PASS, MIDDLEBOX_INTERFERENCE, MPTCP_SPECIFIC

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos


def in_step(connection: Connection) -> bool:
    """Return whether stream and subflow still run in step."""
    return (
        not connection.joined
        and not connection.reinjected
        and connection.receiver.reassembly.buffered == 0
    )


def possible(connection: Connection) -> bool:
    """Return whether we may fall back unasked: no peer sends on a join whose ACK is on its way."""
    joining = any(subflow.phase is Phase.PRE_ESTABLISHED for subflow in connection.subflows)
    return not joining and in_step(connection)


def fall_back(connection: Connection, reason: str) -> None:
    """Go on as plain TCP, for good."""
    if connection.mode is Mode.TCP:
        return
    subflow = connection.subflows[0]
    connection.mode = Mode.TCP
    connection.fallback_reason = reason
    connection.changed.append((subflow, Change.FELL_BACK))
    connection.receive_offset = connection.receiver.reassembly.next - subflow.consumed
    connection.send_offset = connection.sender.snd_nxt - subflow.tcp.sender.stop
    connection.sender.reinject.clear()
    connection.addresses.announcements.clear()
    connection.tasks.clear()
    connection.data_fin_at = NEVER
    if not connection.receiver.ended:
        connection.receiver.fin_at = -1  # from now on a FIN tells it
    _drop_joins(connection)
    subflow.signals.clear()
    subflow.data_fin_due = False
    if not connection.infinite_due:  # the last mapping, too, needs room in its segments
        subflow.tcp.option_room = 0
        subflow.tcp.update_mss()
    for run in subflow.tcp.sender.runs:
        run.dss = None
        run.options = ()


def _drop_joins(connection: Connection) -> None:
    """Give up the subflows that never carried data (RFC 8684, 3.7: only one may go on)."""
    connection.joins.clear()
    for subflow in connection.subflows[1:]:
        if subflow.alive:
            subflow.tcp.abort(connection.version.reasons(MPTCP_SPECIFIC))
            subflow.phase = Phase.CLOSED
            subflow.join_ack_at = NEVER
            connection.changed.append((subflow, Change.DOWN))


def fall_back_or_reset(connection: Connection, now: Nanos, subflow: Subflow, reason: str) -> None:
    """Fall back if that is possible; otherwise give the subflow up."""
    if possible(connection):
        fall_back(connection, reason)
    else:
        reset(connection, now, subflow, MIDDLEBOX_INTERFERENCE)


def reset(connection: Connection, now: Nanos, subflow: Subflow, reason: int) -> None:
    """Give a subflow up with RST, and MP_TCPRST in version 1 (RFC 8684, 3.6)."""
    options = connection.version.reasons(reason)
    connection.counters.mp_rst_tx += len(options)
    subflow.transient = reason in MAY_PASS
    subflow.tcp.abort(options)
    connection.on_subflow_ended(now, subflow)
