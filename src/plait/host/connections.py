"""The connections of a host and the ways to find them: id, flow and token."""

from __future__ import annotations

from plait.errors import UsageError
from plait.host.events import Readable
from plait.host.settings import Settings
from plait.mptcp.connection import Connection
from plait.mptcp.state import Change
from plait.mptcp.subflow import Subflow


class Entry:
    """A connection with what only the host needs to know of it."""

    __slots__ = (
        "accepted",
        "closed_told",
        "connection",
        "connection_id",
        "dirty",
        "end_seen",
        "fallback_told",
        "fast_open",
        "listener_id",
        "readable",
        "readable_told",
        "settings",
        "urgent_told",
    )

    def __init__(
        self,
        connection_id: int,
        connection: Connection,
        settings: Settings,
        listener_id: int | None,
    ) -> None:
        self.connection_id = connection_id
        self.connection = connection
        self.settings = settings
        self.listener_id = listener_id
        self.accepted = False
        """The application heard that it is open."""

        self.readable = Readable(connection_id)
        """The event that tells most often, made once."""

        self.readable_told = False
        """A `Readable` is out that no `read` has answered by finding nothing."""

        self.urgent_told = 0
        """The end of urgent data that the application heard of last."""

        self.fallback_told = False
        """The application heard that it is plain TCP."""

        self.end_seen = False
        """The application read to the end of the stream."""

        self.closed_told = False
        """The application heard of the end, or will with the events that wait for it."""

        self.fast_open = False
        """Data on its SYN opened it, and the handshake is not complete."""

        self.dirty = False
        """It waits in the host's queue of connections to transmit."""


class Connections:
    """Finds connections by whatever a segment or the application names."""

    def __init__(self) -> None:
        self.by_id: dict[int, Entry] = {}
        self.by_flow: dict[bytes, tuple[Entry, Subflow]] = {}
        self.by_token: dict[int, Entry] = {}
        self._ending: dict[int, Entry] = {}
        self._ended: dict[int, Entry] = {}

    def find(self, connection_id: int) -> Entry:
        """Return what the application may still name.  Raises UsageError if it is gone."""
        entry = self.by_id.get(connection_id)
        if entry is None or entry.closed_told:
            entry = self._ending.get(connection_id) or self._ended.get(connection_id)
        if entry is None:
            raise UsageError(f"no connection {connection_id}: it has ended")
        return entry

    def on_ended(self, entry: Entry) -> None:
        """The application is told of the end with the next events."""
        self._ending[entry.connection_id] = entry

    def on_events_taken(self) -> None:
        """The application acts on what was told; what it heard of before is done with."""
        if self._ending or self._ended:
            self._ended, self._ending = self._ending, {}

    def add(self, entry: Entry) -> None:
        """Know a connection by id, and by token if it speaks Multipath TCP."""
        self.by_id[entry.connection_id] = entry
        if entry.connection.settings.mptcp:
            self.by_token[entry.connection.keys.local_token] = entry

    def add_subflow(self, entry: Entry, subflow: Subflow) -> None:
        """Know a connection by one more flow."""
        self.by_flow[subflow.flow_in] = (entry, subflow)

    def forget_subflow(self, subflow: Subflow) -> None:
        """The flow is free."""
        found = self.by_flow.get(subflow.flow_in)
        if found is not None and found[1] is subflow:  # another may have the flow by now
            del self.by_flow[subflow.flow_in]

    def forget_ended(self, connection: Connection) -> None:
        """The flows of subflows that ended since the last call are free."""
        for subflow, change in connection.changed:
            if change is Change.DOWN:
                self.forget_subflow(subflow)
        connection.changed.clear()

    def forget(self, entry: Entry) -> None:
        """The connection is gone."""
        entry.connection.tuning.end()
        self.by_id.pop(entry.connection_id, None)
        self.by_token.pop(entry.connection.keys.local_token, None)
        for subflow in entry.connection.subflows:
            self.forget_subflow(subflow)
