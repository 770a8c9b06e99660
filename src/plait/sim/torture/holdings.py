"""What a host holds: its tables, its timers, the octets in its buffers."""

from __future__ import annotations

from plait.host.connections import Connections
from plait.host.deadlines import Deadlines
from plait.host.host import Host
from plait.host.listener import Listeners
from plait.host.reset import reverse_flow
from plait.mptcp.connection import Connection
from plait.mptcp.subflow import Subflow
from plait.units import Octets
from plait.wire.segment import Segment


def connections_of(host: Host) -> Connections:
    """Return the tables of a host."""
    return host._connections  # noqa: SLF001 - an audit looks inside


def find_sent(host: Host, segment: Segment) -> tuple[Connection, Subflow] | None:
    """Return whose segment it is that leaves the host."""
    found = connections_of(host).by_flow.get(reverse_flow(segment.flow))
    return None if found is None else (found[0].connection, found[1])


def find_received(host: Host, segment: Segment) -> tuple[Connection, Subflow] | None:
    """Return whom a segment is for that reached the host."""
    found = connections_of(host).by_flow.get(segment.flow)
    return None if found is None else (found[0].connection, found[1])


def residue(host: Host) -> str:
    """Return what a host holds although every connection is over; nothing is an empty string."""
    connections = connections_of(host)
    deadlines: Deadlines = host._deadlines  # noqa: SLF001 - an audit looks inside
    listeners: Listeners = host._listeners  # noqa: SLF001 - an audit looks inside
    left = {
        "ids": len(connections.by_id),
        "flows": len(connections.by_flow),
        "tokens": len(connections.by_token),
        "connections in TIME-WAIT": len(host._time_wait),  # noqa: SLF001 - an audit looks inside
        "armed deadlines": len(deadlines._armed),  # noqa: SLF001 - an audit looks inside
        "opening": sum(
            len(one.opening)
            for one in listeners._by_id.values()  # noqa: SLF001 - an audit looks inside
        ),
    }
    return ", ".join(f"{count} {name}" for name, count in left.items() if count)


def held(connection: Connection) -> Octets:
    """Return the octets in all buffers of a connection."""
    buffer = connection.sender.buffer
    receiver = connection.receiver
    octets = buffer.stop - buffer.start + receiver.unread + receiver.reassembly.buffered
    for subflow in connection.subflows:
        below = subflow.tcp.receiver.reassembly
        octets += below.buffered + below.next - subflow.consumed
    return octets


def most(connection: Connection) -> Octets:
    """Return the octets that the settings of a connection allow its buffers.

    The send buffer, a receive buffer twice (`StreamReceiver.limit`), and of each subflow what is
    in flight to it: a receive buffer or the least window.
    """
    settings = connection.settings
    subflows = max(1, len(connection.subflows))
    each = settings.receive_buffer + (1 << 16)
    return settings.send_buffer + 2 * settings.receive_buffer + subflows * each
