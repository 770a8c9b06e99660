"""Ending a connection: FIN, TIME-WAIT and RST (RFC 9293, 3.6 and 3.10.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.tcp import segments
from plait.tcp.receiver import NEVER
from plait.tcp.state import Input, State, step
from plait.units import Nanos, Octets
from plait.wire.segment import ACK, FIN, Segment
from plait.wire.seq import wrap32

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection


def close(connection: TcpConnection) -> None:
    """Queue our FIN, once; it waits for the end of a handshake that the peer began."""
    if connection.sender.fin_queued or connection.state is State.CLOSED:
        return
    if connection.state is State.SYN_SENT:
        connection.state = State.CLOSED
        return
    connection.sender.fin_queued = True
    connection.fin_due = True
    connection.state = step(connection.state, Input.CLOSE)


def send_fin(connection: TcpConnection, now: Nanos, out: list[Segment]) -> None:
    """Put the FIN that is due on the last segment if that ends the stream, or behind it.

    Options of the layer above stay as they are: a mapping does not gain a position.
    """
    sender = connection.sender
    position = sender.stop
    last = out[-1] if out else None
    if last is None or last.dss or last.options or not _ends_at(connection, last, position):
        out.append(segments.bare(connection, now, FIN | ACK, position))
    else:
        last.flags |= FIN
    sender.on_fin_sent(now)
    connection.fin_due = False


def _ends_at(connection: TcpConnection, segment: Segment, position: Octets) -> bool:
    return segment.length > 0 and segment.seq == wrap32(position - segment.length, connection.iss)


def refuse_data(connection: TcpConnection) -> None:
    """Answer data that nobody will read by RST; all that we sent was acknowledged."""
    connection.counters.tcp_abort_on_data += 1
    connection.half_open = wrap32(connection.sender.snd_nxt, connection.iss)
    connection.abort()


def on_fin_acked(connection: TcpConnection, now: Nanos) -> None:
    """The peer has our FIN, and so all we sent."""
    _step(connection, now, Input.FIN_ACKED)


def on_fin_received(connection: TcpConnection, now: Nanos) -> None:
    """The peer's FIN is in order."""
    connection.receiver.ack_now = True
    _step(connection, now, Input.FIN_RECEIVED)


def _step(connection: TcpConnection, now: Nanos, given: Input) -> None:
    connection.state = step(connection.state, given)
    if connection.state is State.TIME_WAIT:
        restart_time_wait(connection, now)


def restart_time_wait(connection: TcpConnection, now: Nanos) -> None:
    """Wait twice the maximum segment lifetime from now (RFC 9293, 3.6.1)."""
    if connection.state is State.TIME_WAIT:
        connection.time_wait_until = now + connection.settings.time_wait


def on_time_wait_over(connection: TcpConnection) -> None:
    """Late segments of this connection are gone from the network."""
    connection.time_wait_until = NEVER
    connection.state = step(connection.state, Input.EXPIRED)


def on_reset(connection: TcpConnection, now: Nanos, seq: Octets) -> bool:
    """Apply a RST in the window; only an exact one counts (RFC 5961, 3.2)."""
    if seq != connection.receiver.rcv_nxt:
        connection.challenge(now)
        return False
    connection.reset_by_peer()
    return True
