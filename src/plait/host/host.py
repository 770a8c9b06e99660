"""The host: every connection of one stack, without a socket, a clock or a die.

Segments go in with the time of their arrival; segments to send, the next deadline and events come
out.  After any call but the queries the driver owes a turn: `transmit` until it returns fewer than
it may, a look at `next_timeout`, and `take_events`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from plait.addresses import IpAddress, Path, path_of_arrival
from plait.buffers import Buffer
from plait.errors import UsageError
from plait.host.connections import Connections, Entry
from plait.host.deadlines import Deadlines
from plait.host.events import Event
from plait.host.listener import Listener, Listeners
from plait.host.ports import free_path, free_port, source_for
from plait.host.reporting import report
from plait.host.reset import from_elsewhere, reset_for, reverse_flow
from plait.host.settings import Settings
from plait.host.thinning import thin
from plait.mptcp.connection import Connection
from plait.mptcp.info import ConnectionInfo
from plait.mptcp.state import State
from plait.pathing.base import OpenSubflow
from plait.tcp.receiver import NEVER
from plait.trace.counters import Counters
from plait.units import Nanos, Octets
from plait.wire.crypto import KEY_OCTETS, Entropy, initial_sequence, token
from plait.wire.icmp import IcmpError
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.mptcp.mp_tcprst import MPTCP_SPECIFIC, MpTcprst
from plait.wire.option import Option
from plait.wire.segment import ACK, RST, SYN, Segment

MAX_RESETS: Final = 256
"""RSTs for stray segments that wait to be sent; more are not made."""


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
        self._entropy = Entropy(entropy)
        self._secret = self._entropy.octets(32)
        self._mtus: dict[IpAddress, Octets] = {}
        self._listeners = Listeners()
        self._connections = Connections()
        self._deadlines = Deadlines()
        self._dirty: deque[Entry] = deque()
        self._resets: deque[Segment] = deque()
        self._events: list[Event] = []
        self._last_id = 0

    # ---- the network

    def receive(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Apply segments that arrived; never raises for what they hold."""
        flows = self._connections.by_flow
        touched: list[Entry] = []
        for segment in thin(segments):
            found = flows.get(segment.flow)
            if found is None:
                self._on_stray(now, segment)
                continue
            entry, subflow = found
            entry.connection.receive(now, subflow, segment)
            if not entry.dirty:
                entry.dirty = True
                self._dirty.append(entry)
            if not touched or touched[-1] is not entry:
                touched.append(entry)
        self.counters.in_segs += len(segments)
        for entry in touched:
            self._settle(now, entry)

    def transmit(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Return segments that are to leave now, about `limit` at most."""
        out: list[Segment] = []
        while self._resets and len(out) < limit:
            self.counters.out_rsts += 1
            out.append(self._resets.popleft())
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
            if closed or connection.state is not state or connection.changed or connection.joins:
                self._settle(now, entry)
            elif not entry.dirty:
                self._arm(entry)
        self.counters.out_segs += len(out)
        return out

    def next_timeout(self) -> Nanos | None:
        """Return when `handle_timeout` is to be called at the latest; None for never."""
        return self._deadlines.soonest()

    def handle_timeout(self, now: Nanos) -> None:
        """Do what is due at `now`."""
        for connection_id in self._deadlines.take_due(now):
            entry = self._connections.by_id.get(connection_id)
            if entry is not None:
                entry.connection.handle_timeout(now)
                self._touch(entry)
                self._settle(now, entry)

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
            self._touch(entry)
            self._settle(now, entry)

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
        self._touch(entry)
        self._settle(now, entry)

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
    ) -> int:
        """Begin a connection and return its id; `Established` or `Lost` follows.

        Raises UsageError if no local address can reach the remote one or the path is in use.
        """
        chosen = settings or self.settings
        if not 0 < remote_port < 65536:
            raise UsageError(f"port {remote_port} is not between 1 and 65535")
        source = local or source_for(self._mtus, remote)
        if source not in self._mtus:
            raise UsageError(f"{source} is no address of this host")
        self._check_room()
        wanted = Path(source, local_port, remote, remote_port)
        path = free_path(self._entropy, self._connections.by_flow, wanted)
        entry = self._new_entry(chosen, None, initiator=True)
        self.counters.active_opens += 1
        iss = initial_sequence(path.flow_out(), self._secret, now)
        subflow = entry.connection.open(now, path, iss, self._mtus[source])
        self._connections.add(entry)
        self._connections.add_subflow(entry, subflow)
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
        if not 0 <= port < 65536:
            raise UsageError(f"port {port} is not between 0 and 65535")
        if address is not None and address not in self._mtus:
            raise UsageError(f"{address} is no address of this host")
        if port == 0:
            port = free_port(self._entropy, self._listeners, address)
        elif self._listeners.in_use(address, port):
            raise UsageError(f"port {port} is in use: choose another or stop who listens there")
        self._last_id += 1
        self._listeners.add(Listener(self._last_id, address, port, settings or self.settings))
        return self._last_id

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
            self._touch(entry)
            self._settle(now, entry)

    def write(self, now: Nanos, connection_id: int, data: Buffer) -> Octets:
        """Take data to send and return how much; after less than all a `Writable` follows."""
        entry = self._entry(connection_id)
        taken = entry.connection.write(data)
        if taken:
            self._touch(entry)
        return taken

    def read(self, now: Nanos, connection_id: int, limit: Octets) -> bytes | None:
        """Return up to `limit` octets; None if there are none now, b"" at the end."""
        chunks = self.read_chunks(now, connection_id, limit)
        if chunks:
            return b"".join(chunks)
        entry = self._connections.by_id.get(connection_id)
        return b"" if entry is None or entry.connection.receiver.ended else None

    def read_chunks(self, now: Nanos, connection_id: int, limit: Octets) -> list[Buffer]:
        """Return up to `limit` octets as they lie in memory; none now or at the end is []."""
        entry = self._entry(connection_id)
        chunks = entry.connection.read(now, limit)
        if not entry.connection.receiver.unread:
            entry.readable_told = entry.end_seen = entry.connection.receiver.ended
            if entry.end_seen:
                self._settle(now, entry)
        self._touch(entry)
        return chunks

    def at_end(self, connection_id: int) -> bool:
        """Return whether everything was read and nothing will come; true of ids that are gone."""
        entry = self._connections.by_id.get(connection_id)
        return entry is None or entry.closed_told or entry.end_seen

    def close(self, now: Nanos, connection_id: int) -> None:
        """End our direction after what was written; reading goes on."""
        entry = self._entry(connection_id)
        entry.connection.close(now)
        self._touch(entry)
        self._settle(now, entry)

    def abort(self, now: Nanos, connection_id: int) -> None:
        """End both directions at once: MP_FASTCLOSE, or RST."""
        entry = self._entry(connection_id)
        entry.connection.abort(now)
        self._touch(entry)
        self._settle(now, entry)

    def release(self, now: Nanos, connection_id: int) -> None:
        """Close, and discard what is unread and still comes."""
        self._entry(connection_id).connection.discard()
        self.close(now, connection_id)

    def info(self, connection_id: int) -> ConnectionInfo:
        """Return a snapshot of a connection.  Raises UsageError if the id is gone."""
        return self._entry(connection_id).connection.info()

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        events = self._events
        self._events = []
        return events

    # ---- new connections and subflows

    def _new_entry(self, settings: Settings, listener_id: int | None, *, initiator: bool) -> Entry:
        key = self._entropy.octets(KEY_OCTETS)
        while token(key) in self._connections.by_token:
            key = self._entropy.octets(KEY_OCTETS)
        connection = Connection(
            settings,
            self.counters,
            self._entropy,
            key,
            list(self._mtus),
            initiator=initiator,
        )
        self._last_id += 1
        return Entry(self._last_id, connection, settings, listener_id)

    def _check_room(self) -> None:
        if len(self._connections.by_id) >= self.settings.max_connections:
            raise UsageError(f"this host has {self.settings.max_connections} connections already")

    def _on_stray(self, now: Nanos, segment: Segment) -> None:
        """Handle a segment that no subflow expects: a SYN, or one to be reset."""
        path = path_of_arrival(segment.flow)
        if path.local not in self._mtus or from_elsewhere(segment.flow):
            return
        if segment.flags & (SYN | ACK | RST) != SYN:
            self._reset(segment)
            return
        joins = [option for option in segment.options if isinstance(option, MpJoinSyn)]
        if joins:
            self._on_join(now, segment, path, joins[0])
        else:
            self._on_syn(now, segment, path)

    def _on_syn(self, now: Nanos, segment: Segment, path: Path) -> None:
        listener = self._listeners.find(path.local, path.local_port)
        if listener is None:
            self._reset(segment)
            return
        if listener.full() or len(self._connections.by_id) >= self.settings.max_connections:
            self.counters.listen_overflows += 1
            return
        entry = self._new_entry(listener.settings, listener.listener_id, initiator=False)
        listener.opening.add(entry.connection_id)
        self.counters.passive_opens += 1
        iss = initial_sequence(path.flow_out(), self._secret, now)
        mtu = self._mtus[path.local]
        subflow = entry.connection.accept(now, path, iss, mtu, segment)
        self._connections.add(entry)
        self._connections.add_subflow(entry, subflow)
        self._touch(entry)

    def _on_join(self, now: Nanos, segment: Segment, path: Path, option: MpJoinSyn) -> None:
        """Find the connection of an MP_JOIN by token, not by port (RFC 8684, 3.2)."""
        entry = self._connections.by_token.get(option.token)
        if entry is None:
            self.counters.mp_join_no_token_found += 1
            self._reset(segment, (MpTcprst(MPTCP_SPECIFIC),))
            return
        reason = entry.connection.refusal()
        if reason is not None:
            self.counters.mp_join_rejected += 1
            self._reset(segment, (MpTcprst(reason),))
            return
        iss = initial_sequence(path.flow_out(), self._secret, now)
        mtu = self._mtus[path.local]
        subflow = entry.connection.accept_join(now, path, iss, mtu, segment, option)
        self._connections.add_subflow(entry, subflow)
        self._touch(entry)

    def _open_joins(self, now: Nanos, entry: Entry) -> None:
        """Give the subflows that the path manager wants their ports."""
        connection = entry.connection
        wishes, connection.joins = connection.joins, []
        for wish in wishes:
            self._open_join(now, entry, wish)

    def _open_join(self, now: Nanos, entry: Entry, wish: OpenSubflow) -> None:
        if wish.local not in self._mtus:
            return
        preferred = entry.connection.subflows[0].path.local_port if entry.listener_id is None else 0
        path = Path(wish.local, preferred, wish.remote, wish.remote_port)
        if not preferred or path.flow_in() in self._connections.by_flow:
            wanted = Path(wish.local, 0, wish.remote, wish.remote_port)
            path = free_path(self._entropy, self._connections.by_flow, wanted)
        iss = initial_sequence(path.flow_out(), self._secret, now)
        subflow = entry.connection.join(now, wish, path, iss, self._mtus[wish.local])
        self._connections.add_subflow(entry, subflow)
        self._touch(entry)

    def _reset(self, segment: Segment, options: tuple[Option, ...] = ()) -> None:
        reset = reset_for(segment, options)
        if reset is not None and len(self._resets) < MAX_RESETS:
            self._resets.append(reset)

    # ---- events and bookkeeping

    def _entry(self, connection_id: int) -> Entry:
        entry = self._connections.by_id.get(connection_id)
        if entry is None or entry.closed_told:
            raise UsageError(f"no connection {connection_id}: it has ended")
        return entry

    def _touch(self, entry: Entry) -> None:
        """Let the connection transmit in the next turn."""
        if not entry.dirty:
            entry.dirty = True
            self._dirty.append(entry)

    def _settle(self, now: Nanos, entry: Entry) -> None:
        """Turn what changed in a connection into events, joins and deadlines."""
        connection = entry.connection
        opened = entry.accepted
        if not entry.closed_told:
            report(entry, self._events)
        if entry.accepted and not opened:
            self.counters.curr_estab += 1
            self._listeners.on_opened(entry.listener_id, entry.connection_id)
        if connection.changed:
            for subflow, up in connection.changed:
                if not up:
                    self._connections.forget_subflow(subflow)
            connection.changed.clear()
        if connection.joins:
            self._open_joins(now, entry)
        if connection.state is State.CLOSED:
            self._forget_if_done(entry)
            return
        if not entry.dirty:  # otherwise the turn that is owed does it
            self._arm(entry)

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
        self._listeners.on_opened(entry.listener_id, entry.connection_id)
        self._deadlines.forget(entry.connection_id)
        self._connections.forget(entry)
