"""What moves a host: segments, deadlines and events of all its connections.

Segments go in with the time of their arrival; segments to send, the next deadline and events come
out.  After any call but the queries the driver owes a turn: `transmit` until it returns fewer than
it may, a look at `next_timeout`, and `take_events`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from plait.addresses import IpAddress
from plait.host.connections import Connections, Entry
from plait.host.deadlines import Deadlines
from plait.host.events import Event
from plait.host.listener import Listeners
from plait.host.opener import Opener
from plait.host.reporting import report
from plait.host.reset import reverse_flow
from plait.host.settings import Settings
from plait.host.sharing import ALONE, Share
from plait.host.thinning import thin
from plait.host.time_wait import Remains
from plait.mptcp import closing
from plait.mptcp.paths import may_join
from plait.mptcp.state import State
from plait.mptcp.tuning import Memory
from plait.tcp.receiver import NEVER
from plait.tcp.state import Failure
from plait.trace.counters import Counters
from plait.units import Nanos, Octets
from plait.wire.crypto import Entropy
from plait.wire.icmp import IcmpError
from plait.wire.segment import RST, Segment


class Engine:
    """Addresses, listeners and connections, as the network and the clock see them."""

    def __init__(self, settings: Settings, entropy: bytes, share: Share = ALONE) -> None:
        """Make a host without addresses.

        Args:
            settings: Defaults for listeners and connections.
            entropy: At least 32 octets of randomness; the same give the same behavior.
            share: Its part, if other hosts have the same addresses.
        """
        self.settings = settings
        self.counters = Counters()
        self._listeners = Listeners()
        self._connections = Connections()
        self._memory = Memory(settings.memory)
        self._opener = Opener(
            settings,
            self.counters,
            Entropy(entropy),
            self._memory,
            self._connections,
            self._listeners,
            share,
        )
        self._others = share.others
        self._mtus = self._opener.mtus
        self._answers = self._opener.answers
        self._time_wait = self._opener.time_wait
        self._deadlines = Deadlines()
        self._dirty: deque[Entry] = deque()
        self._events: list[Event] = []

    # ---- the network

    def receive(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Apply segments that arrived; never raises for what they hold."""
        flows = self._connections.by_flow
        touched: list[Entry] = []
        for segment in thin(segments):
            found = flows.get(segment.flow)
            if found is None:
                begun = self._opener.on_stray(now, segment, self._others)
                if begun is None:
                    self._hand_over()
                    continue
                entry = begun
            else:
                entry, subflow = found
                if not entry.accepted and self._listeners.defers(entry.listener_id, segment):
                    self.counters.listen_overflows += 1
                    continue
                entry.connection.receive(now, subflow, segment)
            if not entry.dirty:
                entry.dirty = True
                self._dirty.append(entry)
            if not entry.accepted:
                self._settle(now, entry)  # at once: it may be the last one to fit in a queue
            elif not touched or touched[-1] is not entry:
                touched.append(entry)
        self.counters.in_segs += len(segments)
        for entry in touched:
            self._settle(now, entry)

    def receive_stray(self, now: Nanos, segment: Segment, passes: int) -> None:
        """Look at a segment that another host handed to this one, which may ask `passes` more."""
        if segment.flow in self._connections.by_flow:
            self.receive(now, (segment,))
            return
        entry = self._opener.on_stray(now, segment, passes)
        if entry is not None:
            self._react(now, entry)
        self._hand_over()

    def _hand_over(self) -> None:
        """Have the driver bring segments to the hosts that are to look at them."""
        self._events += self._opener.strays.take()

    def transmit(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Return segments that are to leave now, about `limit` at most.

        Answers of no connection come last, lest a bare RST overtake the MP_FASTCLOSE of one that
        was just aborted.
        """
        out: list[Segment] = []
        while self._dirty and len(out) < limit:
            entry = self._dirty.popleft()
            entry.dirty = False
            room = limit - len(out)
            connection = entry.connection
            state = connection.state
            segments = connection.transmit(now, room)
            if len(segments) >= room:
                self._touch(entry)
            out += segments
            closed = connection.state is State.CLOSED
            joins = connection.joins and may_join(connection)
            news = connection.changed or connection.troubles.failures
            if closed or connection.state is not state or news or joins:
                self._settle(now, entry)
            elif not entry.dirty:
                self._arm(entry)
        for _ in range(min(limit, len(self._answers))):
            out.append(self._answers.popleft())
            if out[-1].flags & RST:
                self.counters.out_rsts += 1
        self.counters.out_segs += len(out)
        return out

    def next_timeout(self) -> Nanos | None:
        """Return when `handle_timeout` is to be called at the latest; None for never."""
        soonest = self._deadlines.soonest()
        expiry = self._time_wait.next_timeout()
        if soonest is None or expiry is None:
            return expiry if soonest is None else soonest
        return min(soonest, expiry)

    def handle_timeout(self, now: Nanos) -> None:
        """Do what is due at `now`."""
        self._time_wait.handle_timeout(now)
        for connection_id in self._deadlines.take_due(now):
            entry = self._connections.by_id.get(connection_id)
            if entry is not None:
                entry.connection.handle_timeout(now)
                self._react(now, entry)

    def on_local_address(
        self, now: Nanos, address: IpAddress, present: bool, mtu: Octets = 1500
    ) -> None:
        """An address of this host came, changed its MTU, or went."""
        if present:
            self._mtus[address] = mtu
        else:
            self._mtus.pop(address, None)
        for entry in list(self._connections.by_id.values()):
            entry.connection.on_local_address(now, address, present)
            self._react(now, entry)

    def on_icmp_error(self, now: Nanos, error: IcmpError) -> None:
        """A router or host says that it could not pass on a segment of ours (RFC 5927)."""
        found = self._connections.by_flow.get(reverse_flow(error.flow))
        if found is None:
            return
        entry, subflow = found
        if not subflow.tcp.on_icmp_error(now, error):
            self.counters.out_of_window_icmps += 1
            return
        if subflow.tcp.failure is not None:
            entry.connection.on_subflow_ended(now, subflow)
        self._react(now, entry)

    def on_deserted(self, now: Nanos) -> None:
        """No network is left, and none will come: connections end as unreachable."""
        for entry in list(self._connections.by_id.values()):
            entry.connection.fail(Failure.UNREACHABLE)
            self._react(now, entry)

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        events = self._events
        if events:
            self._events = []
            self._listeners.on_events_taken()
        self._connections.on_events_taken()
        return events

    # ---- events and bookkeeping

    def _react(self, now: Nanos, entry: Entry) -> None:
        """Draw the consequences of what was done to a connection."""
        self._touch(entry)
        self._settle(now, entry)

    def _touch(self, entry: Entry) -> None:
        """Let the connection transmit in the next turn."""
        if not entry.dirty:
            entry.dirty = True
            self._dirty.append(entry)

    def _settle(self, now: Nanos, entry: Entry) -> None:
        """Turn what changed in a connection into events, joins and deadlines."""
        connection = entry.connection
        opened = entry.accepted
        self._report(now, entry)
        if entry.accepted and not opened:
            self._on_opened(now, entry)
        if entry.fast_open:
            self._opener.on_fast_opened(now, entry)
        if connection.parted:
            self._part(now, entry)
        self._connections.forget_ended(connection)
        if connection.joins and may_join(connection):
            self._opener.open_joins(now, entry)
            self._touch(entry)
        if connection.state is State.CLOSED:
            self._forget_if_done(entry)
            return
        if not entry.dirty:  # otherwise the turn that is owed does it
            self._arm(entry)

    def _on_opened(self, now: Nanos, entry: Entry) -> None:
        """The application is to hear that a connection is open."""
        self.counters.curr_estab += 1
        if entry.listener_id is None:
            self._opener.on_connected(now, entry)
        else:
            self._listeners.on_accepted(entry.listener_id, entry.connection_id)

    def _part(self, now: Nanos, entry: Entry) -> None:
        """Keep of subflows in TIME-WAIT what their last ACK says, which is sent from there."""
        connection = entry.connection
        parted, connection.parted = connection.parted, []
        for subflow in parted:
            self._connections.forget_subflow(subflow)
            span = closing.time_wait(connection)
            remains = Remains(now, subflow.tcp, closing.part(connection, now, subflow), span)
            self._time_wait.add(subflow.flow_in, remains)
            self._opener.answer(remains.ack(now))
        self._report(now, entry)

    def _report(self, now: Nanos, entry: Entry) -> None:
        """Queue what the application has not heard; after the end there is nothing more."""
        if not entry.closed_told:
            report(now, entry, self._events)
            if entry.closed_told:
                self._connections.on_ended(entry)

    def _arm(self, entry: Entry) -> None:
        """See to it that a connection is looked at when it asks for it."""
        at = entry.connection.next_timeout()
        if at != NEVER:
            self._deadlines.set(entry.connection_id, at)

    def _forget_if_done(self, entry: Entry) -> None:
        """Free a connection once its last segments left and the application knows."""
        connection = entry.connection
        if not entry.closed_told or entry.connection_id not in self._connections.by_id:
            return
        if any(subflow.tcp.reset_due is not None for subflow in connection.subflows):
            return
        if entry.accepted:
            self.counters.curr_estab -= 1
        self._listeners.on_forgotten(entry.listener_id, entry.connection_id)
        self._deadlines.forget(entry.connection_id)
        self._connections.forget(entry)
