"""A connection of plait's own stack, as applications hold it."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Literal

from plait.addresses import IpAddress
from plait.aio import subflow_options
from plait.aio.connection import Connection, LocalAddress, endpoint_of
from plait.aio.happenings import KEPT, Happening, Happenings
from plait.aio.pump import Pump
from plait.errors import AddressError, UsageError
from plait.host.events import Event
from plait.host.intents import intent_settings
from plait.host.settings import Settings
from plait.mptcp.info import ConnectionInfo, SubflowInfo


class StackConnection(Connection):
    """One connection of a stack; its transport holds it and says when it ends.

    Args:
        pump: The pump of the stack.
        connection_id: The host's name for the connection.
        reason: Why it runs on this back end and not on one that was preferred.

    Attributes:
        live: Whether the host still knows the connection.
        settings: What it is like now; `change` changes it.
    """

    def __init__(self, pump: Pump, connection_id: int, reason: str | None = None) -> None:
        self.connection_id = connection_id
        self.settings = pump.host.settings_of(connection_id)
        self.live = True
        self._pump = pump
        self._host = pump.host
        self._reason = reason
        self._last = self._host.info(connection_id, pump.now())
        self._past: deque[Happening] = deque(maxlen=KEPT)
        self._followers: list[Happenings] = []

    @property
    def info(self) -> ConnectionInfo:
        """What the connection is like now, or was when the host last knew it."""
        if self.live:
            self._last = self._host.info(self.connection_id, self._pump.now())
        if self._reason is None or self._last.fallback_reason is not None:
            return self._last
        return replace(self._last, fallback_reason=self._reason)

    def events(self) -> Happenings:
        """Return what happens to subflows, addresses and policies until the connection has ended.

        The last 64 events so far come first.  `Readable` and `Writable` are not among them;
        `Closed` or `Lost` comes last.
        """
        made = Happenings(self._past, ended=not self.live)
        if self.live:
            self._followers.append(made)
        return made

    def change(self, *, intent: str | None = None, **settings: Any) -> None:
        """Change settings of the open connection, such as `scheduler="blest"`.

        Args:
            intent: Path manager, scheduler and congestion control that go together; `settings`
                given beside it prevail.
            settings: Fields of `Settings` that are in `plait.host.settings.LIVE`.

        Raises:
            UsageError: A setting cannot change any more, a value is impossible or its name
                unknown, or the connection has ended.  Nothing has changed then.
        """
        unknown = settings.keys() - {field.name for field in fields(Settings) if field.init}
        if unknown:
            raise UsageError(f"no such setting: {', '.join(sorted(unknown))}")
        base = self.settings if intent is None else intent_settings(intent, self.settings)
        chosen = replace(base, **settings)
        self._host.change(self._pump.now(), self._living(), chosen)
        self.settings = chosen
        self._pump.owe()

    # ---- RFC 6897

    def add_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Let the connection use local addresses, besides those it uses (TCP_MULTIPATH_ADD).

        The path manager opens subflows from them as it sees fit; a port that is given is bound.
        Raises OSError with EADDRNOTAVAIL if one is not the stack's; nothing has changed then.
        """
        endpoints = [endpoint_of(one) for one in addresses]
        try:
            self._host.add_addresses(self._pump.now(), self._living(), endpoints)
        except AddressError as error:
            raise OSError(errno.EADDRNOTAVAIL, str(error)) from error
        self._pump.owe()

    def remove_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Let the connection use local addresses no more, at any port (TCP_MULTIPATH_REMOVE).

        Their subflows are drained and closed, then the peer is told (REMOVE_ADDR).  If no other
        works, one is opened before.  Raises UsageError if none can be.
        """
        gone = [endpoint_of(one)[0] for one in addresses]
        self._host.remove_addresses(self._pump.now(), self._living(), gone)
        self._pump.owe()

    # ---- draft-hesmans-mptcp-socket

    def open_subflow(
        self,
        local: IpAddress | None,
        remote: IpAddress | None = None,
        *,
        local_port: int = 0,
        remote_port: int = 0,
        backup: bool = False,
    ) -> int:
        """Begin to join a subflow, from either side, and return its id.

        None and 0 leave the choice to the stack, and stand for the peer's first address and port.
        Raises UsageError: plain TCP, no such path, one too many, or the peer has not confirmed
        Multipath TCP yet.
        """
        made = self._host.open_subflow(
            self._pump.now(),
            self._living(),
            local,
            remote,
            local_port=local_port,
            remote_port=remote_port,
            backup=backup,
        )
        self._pump.owe()
        return made

    def close_subflow(self, subflow_id: int, how: Literal["fin", "rst"] = "fin") -> None:
        """Close one subflow; what it carries goes elsewhere, and no other takes its place.

        Raises UsageError if there is none of this id or it is the last one that works.
        """
        self._host.close_subflow(self._pump.now(), self._living(), subflow_id, how)
        self._pump.owe()

    def subflow_getsockopt(self, subflow_id: int, level: int, optname: int) -> int | bytes:
        """Return an option of one subflow, structures and names as octets.

        Raises OSError with ENOPROTOOPT for options that subflows do not have.
        """
        settings = self._host.subflow_settings(self._living(), subflow_id)
        return subflow_options.read(level, optname, settings, self._subflow(subflow_id).tcp)

    def subflow_setsockopt(
        self, subflow_id: int, level: int, optname: int, value: int | bytes
    ) -> None:
        """Set an option of one subflow, such as IP_TOS.

        Raises OSError with ENOPROTOOPT for options that subflows do not have of their own, and
        UsageError for values that are impossible.
        """
        before = self._host.subflow_settings(self._living(), subflow_id)
        changed = replace(before, **subflow_options.change(level, optname, value))
        self._host.change_subflow(self._pump.now(), self.connection_id, subflow_id, changed)
        self._pump.owe()

    def set_backup(self, subflow_id: int, *, backup: bool) -> None:
        """Ask the peer to send on a subflow only if no other works, or again as on any (MP_PRIO).

        Raises UsageError if none of this id carries data.
        """
        self._host.set_backup(self._pump.now(), self._living(), subflow_id, backup=backup)
        self._pump.owe()

    # ---- for the transport

    def on_happening(self, event: Event) -> None:
        """Tell those who follow the connection."""
        happening = Happening(self._pump.now(), event)
        self._past.append(happening)
        for follower in self._followers:
            follower.add(happening)

    def abort(self) -> None:
        """Drop the connection at both ends; the host will tell of that."""
        if self.live:
            self._last = self._host.info(self.connection_id, self._pump.now())
            self.live = False
            self._host.abort(self._pump.now(), self.connection_id)
            self._pump.owe()

    def on_ended(self, info: ConnectionInfo) -> None:
        """Keep how the connection ended; nothing more will happen to it."""
        self.live = False
        self._last = info
        self.end_events()

    def end_events(self) -> None:
        """Let those who follow the connection finish."""
        followers, self._followers = self._followers, []
        for follower in followers:
            follower.end()

    def _living(self) -> int:
        """Return the connection's name.  Raises UsageError if it has ended."""
        if not self.live:
            raise UsageError("the connection has ended")
        return self.connection_id

    def _subflow(self, subflow_id: int) -> SubflowInfo:
        """Return a snapshot of a subflow that is there."""
        return next(one for one in self.info.subflows if one.alive and one.id == subflow_id)
