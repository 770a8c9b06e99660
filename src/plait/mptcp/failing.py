"""MP_FAIL: both sides of a failed checksum go back to TCP (RFC 8684, 3.7).

MP_FAIL travels on a pure ACK, and a peer that never hears of it goes on to map data and to repeat
it at the data level, which plain TCP would take for new.  So it is said again, with a keep-alive
beside it, until anything arrives that shows the peer as TCP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.mptcp import fallback
from plait.mptcp.reinjection import MAX_BACKOFF
from plait.mptcp.state import Change
from plait.mptcp.tasks import Task
from plait.tcp.receiver import NEVER
from plait.wire.mptcp.dss import MAPPING
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_tcprst import MIDDLEBOX_INTERFERENCE
from plait.wire.seq import wrap64

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos
    from plait.wire.segment import Segment


class Reminder(Task):
    """An MP_FAIL that the peer has not reacted to."""

    __slots__ = ("option",)

    def __init__(self, subflow: Subflow, at: Nanos, option: MpFail) -> None:
        Task.__init__(self, subflow, at)
        self.option = option

    def on_time(self, connection: Connection, now: Nanos) -> None:
        """Say it again and ask for an answer; after about two minutes reset the subflow."""
        tcp = self.subflow.tcp
        if self.tries >= connection.settings.data_retries:
            self.at = NEVER
            fallback.reset(connection, now, self.subflow, MIDDLEBOX_INTERFERENCE)
            return
        say(connection, self.subflow, self.option)
        tcp.probe_due = True
        self.tries += 1
        self.at = now + tcp.sender.rtt.backed_off(min(self.tries, MAX_BACKOFF))


def say(connection: Connection, subflow: Subflow, option: MpFail) -> None:
    """Send MP_FAIL on an ACK; this may be the last option the connection sends."""
    connection.counters.mp_fail_tx += 1
    subflow.leading = option


def remind(connection: Connection, now: Nanos, subflow: Subflow, option: MpFail) -> None:
    """Say MP_FAIL again while the peer does not react; fall-back comes first."""
    at = now + subflow.tcp.sender.rtt.rto
    connection.tasks.append(Reminder(subflow, at, option))


def on_segment(connection: Connection, segment: Segment) -> None:
    """Look whether the peer reacted to our MP_FAIL: in kind, by an infinite mapping, or as TCP."""
    if not connection.tasks:
        return
    dss = segment.dss
    infinite = dss is not None and dss.flags & MAPPING and not dss.length
    failed = any(isinstance(option, MpFail) for option in segment.options)
    if dss is None or infinite or failed:
        connection.tasks.clear()


def on_fail(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """The peer saw a checksum fail: answer in kind and revert to TCP.

    A peer that tells so on an ACK goes on as TCP; where we cannot, the only subflow is lost.
    """
    connection.counters.mp_fail_rx += 1
    connection.changed.append((subflow, Change.FAIL_RECEIVED))
    if not fallback.in_step(connection):
        if not any(other.alive for other in connection.subflows if other is not subflow):
            fallback.reset(connection, now, subflow, MIDDLEBOX_INTERFERENCE)
        return
    following = connection.receiver.reassembly.next
    say(connection, subflow, MpFail(wrap64(following, connection.keys.remote_idsn)))
    connection.infinite_due = True
    fallback.fall_back(connection, "the peer saw a DSS checksum fail")
