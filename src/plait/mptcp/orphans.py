"""Connections that nobody holds any more: what is unsent leaves, but not for ever.

A peer may answer window probes without ever opening its window, or never end its direction: a
connection that its application released is given up once nothing of its stream was acknowledged for
`orphan_timeout`, as Linux does by tcp_fin_timeout and tcp_orphan_retries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.mptcp import closing
from plait.tcp.receiver import NEVER
from plait.tcp.state import Failure

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.units import Nanos


def release(connection: Connection, now: Nanos) -> None:
    """End our direction; drop what is unread and all that comes."""
    connection.receiver.discard()
    if connection.receiver.worth_telling():
        connection.acknowledge()
    connection.close(now)
    if connection.linger_until == NEVER:
        _wait(connection, now)


def on_time(connection: Connection, now: Nanos) -> None:
    """Give it up, unless something was acknowledged since the last look."""
    if connection.sender.snd_una > connection.orphan_una:
        _wait(connection, now)
    else:
        closing.abort(connection, now, Failure.TIMED_OUT)


def _wait(connection: Connection, now: Nanos) -> None:
    connection.orphan_una = connection.sender.snd_una
    connection.linger_until = now + connection.settings.orphan_timeout
