"""The host: every connection of one stack, without a socket, a clock or a die.

`Engine` is the side of the network and the clock; here is what an application asks for.  After any
call but the queries the driver owes a turn.

A connection that ended can still be named until the `take_events` after the one that told of it,
so that an application may act on what it hears in any order: nothing comes of that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from plait.addresses import IpAddress, Path
from plait.buffers import Buffer
from plait.errors import UsageError
from plait.host.engine import Engine
from plait.host.listener import Listener
from plait.host.ports import port_to_listen
from plait.host.settings import LIVE, Settings
from plait.mptcp import priorities, steering
from plait.mptcp.info import ConnectionInfo
from plait.tcp.settings import TcpSettings, changed_fields
from plait.units import Nanos, Octets


class Host(Engine):
    """One stack: addresses, listeners and connections."""

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
        port = port_to_listen(
            self._opener.entropy, self.settings.ephemeral, self._listeners, address, port
        )
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
