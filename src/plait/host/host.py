"""The host: every connection of one stack, without a socket, a clock or a die.

Segments go in with the time of their arrival; segments to send, the next deadline and events come
out.  After any call but the queries the driver owes a turn: `transmit` until it returns fewer than
it may, a look at `next_timeout`, and `take_events`.

A connection that ended can still be named until the `take_events` after the one that told of it,
so that an application may act on what it hears in any order: nothing comes of that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Literal

from plait.addresses import IpAddress, Path
from plait.buffers import Buffer
from plait.errors import UsageError
from plait.host.connections import Connections, Entry
from plait.host.deadlines import Deadlines
from plait.host.events import Event
from plait.host.listener import Listener, Listeners
from plait.host.opener import Opener
from plait.host.ports import port_to_listen
from plait.host.reporting import report
from plait.host.reset import reverse_flow
from plait.host.settings import LIVE, Settings
from plait.host.thinning import thin
from plait.host.time_wait import Remains
from plait.mptcp import closing, priorities, steering
from plait.mptcp.info import ConnectionInfo
from plait.mptcp.paths import may_join
from plait.mptcp.state import State
from plait.mptcp.tuning import Memory
from plait.tcp.receiver import NEVER
from plait.tcp.settings import TcpSettings, changed_fields
from plait.trace.counters import Counters
from plait.units import Nanos, Octets
from plait.wire.crypto import Entropy
from plait.wire.icmp import IcmpError
from plait.wire.segment import RST, Segment


class Host:
    """One stack: addresses, listeners and connections."""

    def __init__(self, settings: Settings, entropy: bytes) -> None:
        """Make a host without addresses.

        Args:
            settings: Defaults for listeners and connections.
            entropy: At least 32 octets of randomness; the same give the same behavior.
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
        )
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
                begun = self._opener.on_stray(now, segment)
                if begun is None:
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
            if not touched or touched[-1] is not entry:
                touched.append(entry)
        self.counters.in_segs += len(segments)
        for entry in touched:
            self._settle(now, entry)

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

    # ---- the application

    def connect(
        self,
        now: Nanos,
        remote: IpAddress,
        remote_port: int,
        *,
        local: IpAddress | None = None,
        local_port: int = 0,
        settings: Settings | None = None,
        data: bytes = b"",
    ) -> int:
        """Begin a connection and return its id; `Established` or `Lost` follows.

        `data` is written at once; the SYN carries its beginning if `Settings.fast_open` lets it
        and a cookie is known.  Raises UsageError if no local address can reach the remote one, the
        path is in use, or the send buffer cannot take `data`.
        """
        if not 0 < remote_port < 65536:
            raise UsageError(f"port {remote_port} is not between 1 and 65535")
        chosen = settings or self.settings
        source, bound = self._opener.source_for(local, remote, chosen)
        wanted = Path(source, local_port or bound, remote, remote_port)
        entry = self._opener.connect(now, wanted, chosen, data)
        self._touch(entry)
        return entry.connection_id

    def listen(
        self,
        now: Nanos,
        port: int,
        *,
        address: IpAddress | None = None,
        settings: Settings | None = None,
    ) -> int:
        """Accept connections on a port, 0 for any free one, and return the listener's id.

        Raises UsageError if the port is taken or the address is not ours.
        """
        if address is not None:
            self._opener.check_local(address)
        port = port_to_listen(self._opener.entropy, self._listeners, address, port)
        listener_id = self._opener.next_id()
        self._listeners.add(Listener(listener_id, address, port, settings or self.settings))
        return listener_id

    def listener_port(self, listener_id: int) -> int:
        """Return the port of a listener.  Raises UsageError if there is none."""
        listener = self._listeners.get(listener_id)
        if listener is None:
            raise UsageError(f"no listener {listener_id}")
        return listener.port

    def close_listener(self, now: Nanos, listener_id: int) -> None:
        """Accept no more; connections that are open stay, those that are opening are reset."""
        listener = self._listeners.remove(listener_id)
        for connection_id in sorted(listener.opening) if listener is not None else ():
            entry = self._connections.by_id[connection_id]
            entry.connection.abort(now)
            self._react(now, entry)

    def write(
        self, now: Nanos, connection_id: int, data: Buffer, *, urgent: bool = False
    ) -> Octets:
        """Take data to send and return how much; after less than all a `Writable` follows.

        Args:
            urgent: The peer's application is to hear that it comes, if this is plain TCP; do not
                use it in new protocols (RFC 6093, 5).
        """
        entry = self._connections.find(connection_id)
        taken = 0 if entry.closed_told else entry.connection.write(data, urgent=urgent)
        if taken:
            self._touch(entry)
        return taken

    def read(self, now: Nanos, connection_id: int, limit: Octets) -> bytes | None:
        """Return up to `limit` octets; None if there are none now, b"" at the end."""
        chunks = self.read_chunks(now, connection_id, limit)
        if chunks:
            return b"".join(chunks)
        return b"" if self._connections.find(connection_id).connection.receiver.ended else None

    def read_chunks(self, now: Nanos, connection_id: int, limit: Octets) -> list[Buffer]:
        """Return up to `limit` octets as they lie in memory; none now or at the end is []."""
        entry = self._connections.find(connection_id)
        if entry.closed_told:
            return []
        chunks = entry.connection.read(now, limit)
        if not entry.connection.receiver.unread:
            entry.readable_told = entry.end_seen = entry.connection.receiver.ended
            if entry.end_seen:
                self._settle(now, entry)
        self._touch(entry)
        return chunks

    def at_end(self, connection_id: int) -> bool:
        """Return whether everything was read up to the end of the peer's stream."""
        return self._connections.find(connection_id).end_seen

    def close(self, now: Nanos, connection_id: int) -> None:
        """End our direction after what was written; reading goes on."""
        entry = self._connections.find(connection_id)
        if not entry.closed_told:
            entry.connection.close(now)
            self._react(now, entry)

    def abort(self, now: Nanos, connection_id: int) -> None:
        """End both directions at once: MP_FASTCLOSE, or RST."""
        entry = self._connections.find(connection_id)
        if not entry.closed_told:
            entry.connection.abort(now)
            self._react(now, entry)

    def release(self, now: Nanos, connection_id: int) -> None:
        """Close, and discard what is unread and still comes."""
        entry = self._connections.find(connection_id)
        if not entry.closed_told:
            entry.connection.release(now)
            self._react(now, entry)

    def change(self, now: Nanos, connection_id: int, settings: Settings) -> None:
        """Give an open connection other settings; only those of `LIVE` may differ.

        Raises UsageError for others: they were settled when it opened.
        """
        entry = self._connections.find(connection_id)
        fixed = changed_fields(entry.settings, settings).keys() - LIVE
        if fixed:
            raise UsageError(f"{', '.join(sorted(fixed))}: choose before the connection opens")
        entry.settings = settings
        if not entry.closed_told:
            entry.connection.change(now, settings)
            self._react(now, entry)

    # ---- subflows and addresses; all raise UsageError on plain TCP and after the end

    def open_subflow(
        self,
        now: Nanos,
        connection_id: int,
        local: IpAddress | None = None,
        remote: IpAddress | None = None,
        *,
        local_port: int = 0,
        remote_port: int = 0,
        backup: bool = False,
    ) -> int:
        """Begin to join a subflow, as initiator or as listener, and return its id.

        None and 0 leave the choice to the host, and stand for the peer's first address and port.
        Raises UsageError if there is no such path, or one too many.
        """
        entry = self._connections.find(connection_id)
        wish = steering.wish(entry.connection, local, remote, local_port, remote_port, backup)
        subflow = self._opener.join(now, entry, wish)
        self._react(now, entry)
        return subflow.id

    def close_subflow(
        self, now: Nanos, connection_id: int, subflow_id: int, how: Literal["fin", "rst"] = "fin"
    ) -> None:
        """Close one subflow; what it carries goes elsewhere, and no other takes its place.

        Raises UsageError if there is none of this id, or none other that works.
        """
        entry = self._connections.find(connection_id)
        steering.close_subflow(entry.connection, now, subflow_id, how)
        self._react(now, entry)

    def subflow_settings(self, connection_id: int, subflow_id: int) -> TcpSettings:
        """Return what one subflow is like.  Raises UsageError if there is none of this id."""
        connection = self._connections.find(connection_id).connection
        return steering.find(connection, subflow_id).tcp.settings

    def change_subflow(
        self, now: Nanos, connection_id: int, subflow_id: int, settings: TcpSettings
    ) -> None:
        """Give one subflow settings of its own; only those of `SUBFLOW` may differ.

        A later `change` of the same setting applies to all.  Raises UsageError for others.
        """
        entry = self._connections.find(connection_id)
        steering.change_subflow(entry.connection, now, subflow_id, settings)
        self._react(now, entry)

    def set_backup(self, now: Nanos, connection_id: int, subflow_id: int, *, backup: bool) -> None:
        """Ask the peer to send on a subflow only if no other works, or again as on any (MP_PRIO).

        Raises UsageError if none of this id carries data.
        """
        entry = self._connections.find(connection_id)
        subflow = steering.carrier(entry.connection, subflow_id)
        priorities.set_backup(entry.connection, now, subflow, backup)
        self._touch(entry)

    def add_addresses(
        self, now: Nanos, connection_id: int, endpoints: Sequence[tuple[IpAddress, int]]
    ) -> None:
        """Let a connection use addresses of this host; subflows are bound to ports but 0.

        The path manager opens what it sees fit.  Raises UsageError if one is not ours.
        """
        entry = self._connections.find(connection_id)
        for address, _ in endpoints:
            self._opener.check_local(address)
        steering.add_addresses(entry.connection, now, endpoints)
        self._react(now, entry)

    def remove_addresses(
        self, now: Nanos, connection_id: int, addresses: Collection[IpAddress]
    ) -> None:
        """Have a connection use local addresses no more, without loss.

        Their subflows are drained and closed, then the peer is told (REMOVE_ADDR); if no other
        works, one is opened before.  Raises UsageError if none can be.
        """
        entry = self._connections.find(connection_id)
        steering.remove_addresses(entry.connection, now, frozenset(addresses))
        self._react(now, entry)

    def settings_of(self, connection_id: int) -> Settings:
        """Return what a connection is like.  Raises UsageError if the id is gone."""
        return self._connections.find(connection_id).settings

    def info(self, connection_id: int, now: Nanos = 0) -> ConnectionInfo:
        """Return a snapshot of a connection.  Raises UsageError if the id is gone.

        Args:
            connection_id: The connection.
            now: Until when its silence counts; by default until it last sent or heard anything.
        """
        return self._connections.find(connection_id).connection.info(now)

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
