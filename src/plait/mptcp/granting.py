"""Handing out the stream: which subflow carries which range, and in what bursts.

A grant becomes one run with one mapping, and leaves as one super-segment if the windows allow.
Waiting for a larger one costs less than many small ones: Nagle's rule, and no silly windows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.congestion.base import MAX_SEGMENT
from plait.errors import PlaitError
from plait.mptcp import failover, reinjection, runs, unblocking, watching
from plait.mptcp.state import TCP
from plait.scheduling.base import Grant, SubflowView
from plait.tcp.receiver import NEVER

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos, Octets


def grant(connection: Connection, now: Nanos, limit: int) -> None:
    """Let the scheduler hand out ranges until it waits or there is nothing to send."""
    if connection.troubles.fault:
        failover.on_fault(connection, now)
    sender = connection.sender
    carriers = [subflow for subflow in connection.subflows if subflow.can_send]
    views: list[SubflowView] = []
    for _ in range(limit):
        wanted = sender.next_range()
        if wanted is None:
            break
        start, stop = wanted
        if not views or connection.fenced:  # a plug-in may have changed them
            views = [_view(connection, subflow) for subflow in carriers]
        room = 0
        for at, subflow in enumerate(carriers):
            room += _look(connection, now, subflow, views[at], start, stop)
        if not room:
            break  # no scheduler could grant anything
        if connection.fenced:
            grants = _ask(connection, now, start, stop, views)
        else:
            grants = connection.scheduler.schedule(now, start, stop, sender.edge, views)
        if not grants:
            break
        for grant in grants:
            runs.queue(connection, grant)
            sender.on_granted(grant.start, grant.stop)
    _conclude(connection, now, carriers)


def _conclude(connection: Connection, now: Nanos, carriers: list[Subflow]) -> None:
    """Tell the subflows whether more waits, and see to the timers."""
    sender = connection.sender
    more = sender.buffer.stop > sender.snd_nxt or sender.reinject.total > 0
    if sender.starved and not more:
        connection.tuning.on_full(connection)
    waiting = more
    for subflow in carriers:
        waiting = waiting and not subflow.tcp.sender.outstanding()
    for subflow in connection.subflows:
        subflow.tcp.more = more
        subflow.tcp.waiting = waiting
        subflow.tcp.persist.overriding = False
    reinjection.arm(connection, now)
    if len(carriers) > 1:
        if sender.edge < sender.buffer.stop:
            unblocking.on_full_window(connection, now, carriers)
        elif sender.fin_queued and not more and not connection.scheduler.spares:
            unblocking.on_end(connection, carriers)
        if connection.troubles.watch_at == NEVER:
            watching.arm(connection, now, carriers)


def _ask(
    connection: Connection, now: Nanos, start: Octets, stop: Octets, views: list[SubflowView]
) -> list[Grant]:
    """Return what a plug-in grants; one that fails is replaced, and its successor asked."""
    rooms = {view.index: view.room for view in views}
    asked = list(rooms)
    edge = connection.sender.edge
    try:
        grants = connection.scheduler.schedule(now, start, stop, edge, views)
        if grants:
            _check(connection, grants, start, stop, rooms)
            return grants
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        failover.scheduler(connection, repr(error))
    else:
        if not all(rooms.values()) or any(_is_busy(subflow) for subflow in connection.subflows):
            return []
        failover.scheduler(connection, "it waits although nothing is in flight")
    views = []
    for at in asked:
        subflow = connection.subflow_at(at)
        views.append(_view(connection, subflow))
        _look(connection, now, subflow, views[-1], start, stop)
    return connection.scheduler.schedule(now, start, stop, edge, views)


def _check(
    connection: Connection,
    grants: list[Grant],
    start: Octets,
    stop: Octets,
    rooms: dict[int, Octets],
) -> None:
    """Raise an error unless the grants keep the contract of schedulers."""
    reached = start
    for grant in grants:
        length = grant.stop - grant.start
        if (
            type(length) is not int
            or not start <= grant.start <= reached
            or not 0 < length <= rooms[grant.index]
            or (length > MAX_SEGMENT and length > _longest(connection, grant.index))
            or grant.stop > stop
        ):
            raise PlaitError(f"{grant!r} of {start} to {stop}, with room for {rooms}")
        rooms[grant.index] -= length
        reached = max(reached, grant.stop)


def _longest(connection: Connection, index: int) -> Octets:
    return runs.longest(connection.subflow_at(index).tcp.sender.mss)


def _is_busy(subflow: Subflow) -> bool:
    """Return whether an acknowledgment is to come."""
    sender = subflow.tcp.sender
    return subflow.can_send and sender.stop > sender.snd_una


def _view(connection: Connection, subflow: Subflow) -> SubflowView:
    """Return what the scheduler may know of a subflow and does not change by grants."""
    sender = subflow.tcp.sender
    mss = sender.mss
    silent = sender.backoff > 0 or sender.recovery.timed_out or subflow.doubted
    return SubflowView(
        subflow.index,
        0,
        _quarter(connection, mss) if connection.mode is not TCP else runs.longest(mss),
        mss,
        sender.controller.cwnd,
        0,
        sender.rtt.srtt,
        sender.rtt.rttvar,
        subflow.backup,
        silent,
    )


def _look(
    connection: Connection,
    now: Nanos,
    subflow: Subflow,
    view: SubflowView,
    start: Octets,
    stop: Octets,
) -> Octets:
    """Bring a view up to date for who is to carry some of a range; return its room."""
    sender = subflow.tcp.sender
    in_flight = sender.in_flight()
    view.in_flight = in_flight + sender.queued()
    view.room = room = _room(connection, now, subflow, start, stop, in_flight)
    return room


def _room(
    connection: Connection,
    now: Nanos,
    subflow: Subflow,
    start: Octets,
    stop: Octets,
    in_flight: Octets,
) -> Octets:
    """Return how much a subflow may be granted; 0 where waiting makes larger bursts."""
    sender = subflow.tcp.sender
    mss = sender.mss
    want = stop - start
    room = sender.room(in_flight)
    if sender.pacer is not None and room:
        room = min(room, sender.pacer.room(now, sender))
    if subflow.tcp.urgent.snd_up > sender.stop:
        return min(room, mss)  # only a segment of its own can point to the end of it
    if room < want or stop == connection.sender.edge < connection.sender.buffer.stop:
        room = min(room, want)
        if not room or room < (_least(connection, subflow) if in_flight else _worthwhile(subflow)):
            return 0
        return room - room % mss if room > mss else room  # whole segments, if it fills any
    if not connection.settings.nodelay and not connection.sender.fin_queued:
        return room if _nagle(subflow) else want - want % mss
    return room


def _quarter(connection: Connection, mss: Octets) -> Octets:
    """Return a quarter of the peer's window, in whole segments, or the longest burst if shorter.

    No mapping takes more: with checksums it is acknowledged as a whole, so that the window has to
    hold several.
    """
    longest = runs.longest(mss)
    window = connection.sender.edge - connection.sender.snd_una
    return longest if window >= 4 * longest else max(window // (4 * mss), 1) * mss


def _least(connection: Connection, subflow: Subflow) -> Octets:
    """Return the least window that is used while ACKs are to come.

    They make more of it, unless recovery needs each to let a segment go (RFC 3042, RFC 9937).
    """
    sender = subflow.tcp.sender
    if sender.recovery.tail.due:
        return _worthwhile(subflow)
    if not sender.recovery.quiet:
        return sender.mss
    pacer = sender.pacer
    burst = _quarter(connection, sender.mss) if pacer is None else pacer.quantum()
    return max(sender.mss, min(burst, sender.controller.cwnd // 4))


def _worthwhile(subflow: Subflow) -> Octets:
    """Return the least window that is used while nothing is in flight (RFC 9293, 3.8.6.2.1).

    After a while without an ACK even a smaller one is, lest both sides wait for ever.
    """
    sender = subflow.tcp.sender
    return 1 if subflow.tcp.persist.overriding else min(sender.mss, sender.max_window // 2)


def _nagle(subflow: Subflow) -> bool:
    """Return whether a segment that is not full may leave: no other such one is on its way.

    That is Minshall's form of the rule, as a delayed ACK would else hold up the end of every larger
    write (RFC 9293, 3.7.4).
    """
    sender = subflow.tcp.sender
    return sender.small_stop <= max(sender.snd_una, 1)
