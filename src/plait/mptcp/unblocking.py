"""When all wait for a slow path: opportunistic retransmission and penalization.

Data waits, and the window ends before it because its first octets travel on a slow subflow.  A
faster one that has room sends those once more, and if it is a queue of its own that makes the slow
one slow, its window is reduced as by a mark of congestion, lest it happen again in the next round
trip (after Raiciu et al., "How Hard Can It Be?", NSDI 2012, 4.2).  Likewise at the end of the
stream, which the fast subflow has nothing better to do than to bring.  Schedulers need not know.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from plait.mptcp import runs
from plait.scheduling.base import Grant

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.tcp.run import Run
    from plait.units import Nanos, Octets

MOST_RUNS: Final = 16
"""Runs looked at from the head of a full window."""


def on_full_window(connection: Connection, now: Nanos, carriers: list[Subflow]) -> None:
    """Data waits beyond the window: where that holds up a fast subflow, send its head there."""
    sender = connection.sender
    held = _held(connection, carriers)
    if held is None:
        return
    start, stop, slow, fast = held
    if _repeat(connection, start, stop, fast, sender.edge - sender.snd_nxt):
        _penalize(slow, now)


def on_end(connection: Connection, carriers: list[Subflow]) -> None:
    """All of the stream is handed out: where its end travels slowly, send that on a fast one."""
    held = _held(connection, carriers)
    if held is not None:
        start, stop, _, fast = held
        _repeat(connection, start, stop, fast, 0)


def _held(
    connection: Connection, carriers: list[Subflow]
) -> tuple[Octets, Octets, Subflow, Subflow] | None:
    """Return the first range that a slow subflow carries, that one, and a faster one."""
    sender = connection.sender
    if sender.reinject.total:
        return None
    start = max(sender.snd_una, sender.unblocked)
    for _ in range(MOST_RUNS):
        holder = _holder(carriers, start)
        if holder is None:
            return None
        slow, run = holder
        fast = _faster(carriers, slow, run)
        if fast is not None:
            return start, run.dsn_stop, slow, fast
        start = run.dsn_stop  # it is on its way on a fast one already
    return None


def _repeat(
    connection: Connection, start: Octets, stop: Octets, fast: Subflow, spare: Octets
) -> bool:
    """Send a range on the fast subflow too if it has room beyond what is spare for new data."""
    mss = fast.tcp.sender.mss
    room = fast.tcp.sender.room(fast.tcp.sender.in_flight())
    if room <= max(spare, mss):
        return False
    stop = min(stop, start + room, start + runs.longest(mss))
    connection.sender.unblocked = stop
    connection.counters.mptcp_retrans += 1
    runs.copy(connection, Grant(fast.index, start, stop))
    return True


def _holder(carriers: list[Subflow], position: Octets) -> tuple[Subflow, Run] | None:
    """Return the subflow that carries an octet of the stream, and its run."""
    for subflow in carriers:
        queue = subflow.tcp.sender.runs
        index = bisect_right(queue, position, key=_dsn) - 1
        if index >= 0 and position < queue[index].dsn_stop:
            return subflow, queue[index]
    return None


def _dsn(run: Run) -> Octets:
    return run.dsn


def _faster(carriers: list[Subflow], slow: Subflow, run: Run) -> Subflow | None:
    """Return the fastest other subflow if it brings a run sooner than the slow one's rate lets."""
    sender = slow.tcp.sender
    left = run.stop - sender.snd_una
    due = sender.rtt.srtt * left // max(sender.controller.cwnd, 1)
    patience = min(due, sender.rtt.srtt)
    others = [one for one in carriers if one is not slow and not (one.stale or one.backup)]
    return min((one for one in others if 0 < _srtt(one) < patience), key=_srtt, default=None)


def _srtt(subflow: Subflow) -> Nanos:
    return subflow.tcp.sender.rtt.srtt


def _penalize(slow: Subflow, now: Nanos) -> None:
    """Reduce the window of a subflow that is slow because of its own queue, once in a round trip.

    Where the path is no more than long, its window is not too large.
    """
    sender = slow.tcp.sender
    queues = 2 * sender.rtt.srtt > 3 * sender.rtt.min_rtt
    if queues and now >= slow.penalized_until and sender.recovery.quiet:
        slow.penalized_until = now + sender.rtt.srtt
        sender.controller.on_congestion_mark(now, sender.in_flight())
