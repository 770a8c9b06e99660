"""Watching the paths while several could carry data: one may fall silent, or idle unmeasured.

A busy path brings an ACK at least every round trip.  After one and a half without any, two where
the times vary much, its data goes elsewhere, long before the retransmission timer runs out: the
subflow is *doubted* until it is heard again, as if that timer had.  A subflow that the scheduler
leaves idle for its delay gets a copy of a segment now and then, lest an old measurement keep it
idle for ever.  A silent one can be asked by keep-alives whether its path works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.mptcp import reinjection, runs
from plait.mptcp.inquiry import Inquiry
from plait.mptcp.state import Mode
from plait.scheduling.base import Grant
from plait.tcp.receiver import NEVER
from plait.tcp.tail_loss import WC_DEL_ACK
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.mptcp.mp_tcprst import UNACCEPTABLE_PERFORMANCE

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow

LEAST_PATIENCE: Final = 20 * MILLISECOND
"""Silence beyond a round trip that is never a reason for doubt: hosts pause for as long."""


def arm(connection: Connection, now: Nanos, carriers: list[Subflow]) -> None:
    """Look at the paths again before long; called when one of several has something to do."""
    connection.troubles.watch_at = now + min(map(_patience, carriers))


def on_time(connection: Connection, now: Nanos) -> None:
    """Doubt, measure and ask what is due; look again as long as there is a reason to."""
    troubles = connection.troubles
    troubles.watch_at = NEVER
    carriers = [subflow for subflow in connection.subflows if subflow.can_send]
    if connection.mode is Mode.TCP or len(carriers) < 2:
        return
    busy = [one for one in carriers if one.tcp.sender.outstanding()]
    for subflow in carriers:
        if subflow not in busy:
            due = _on_idle(connection, now, subflow, working=bool(busy))
        else:
            due = _silence_ends(subflow)
            if due <= now:
                doubt(connection, now, subflow)
                continue
        troubles.watch_at = min(troubles.watch_at, due)
    if busy:
        troubles.watch_at = min(troubles.watch_at, now + min(map(_patience, carriers)))


def _patience(subflow: Subflow) -> Nanos:
    """Return how long a path with data on its way may say nothing."""
    rtt = subflow.tcp.sender.rtt
    if not rtt.srtt:
        return SECOND
    return rtt.srtt + max(rtt.srtt // 2, min(4 * rtt.rttvar, rtt.srtt), LEAST_PATIENCE)


def _silence_ends(subflow: Subflow) -> Nanos:
    """Return when a busy path becomes doubtful; `NEVER` if its timer is all that can tell."""
    tcp = subflow.tcp
    sender = tcp.sender
    oldest = sender.recovery.rack.oldest()
    if oldest == NEVER or subflow.stale:
        return NEVER
    delayed = WC_DEL_ACK if sender.snd_nxt - sender.snd_una <= sender.mss else 0
    return max(oldest, tcp.keepalive.heard_at) + _patience(subflow) + delayed


def doubt(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Treat a path as one whose retransmission timer ran out, if another one works."""
    if reinjection.can_spare(connection, subflow):
        reinjection.give_up_on(connection, subflow)
        subflow.doubted_at = now


def _on_idle(connection: Connection, now: Nanos, subflow: Subflow, *, working: bool) -> Nanos:
    """Measure or ask a path that carries nothing if that is due; return when it is due next."""
    settings = connection.settings
    due = NEVER
    if working and settings.failback_probe and connection.scheduler.compares and not subflow.backup:
        due = subflow.tcp.sender.last_sent + settings.failback_probe
        if due <= now:
            _measure(connection, subflow)
            due = now + settings.failback_probe
    if settings.path_probe:
        quiet = subflow.tcp.keepalive.heard_at + settings.path_probe
        if quiet <= now:
            Inquiry.begin(connection, now, subflow, UNACCEPTABLE_PERFORMANCE)
            quiet = now + settings.path_probe
        due = min(due, quiet)
    return due


def _measure(connection: Connection, subflow: Subflow) -> None:
    """Send the end of what was granted last once more, on a subflow without a fresh measurement."""
    sender = connection.sender
    mss = subflow.tcp.sender.mss
    start = max(sender.snd_una, sender.snd_nxt - mss)
    if start < sender.snd_nxt and subflow.tcp.sender.room(0) >= mss:
        runs.copy(connection, Grant(subflow.index, start, sender.snd_nxt))
