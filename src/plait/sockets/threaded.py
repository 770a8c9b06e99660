"""A connection of a stack, for threads other than the one its stack runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from plait.addresses import IpAddress
from plait.aio.connection import Connection, LocalAddress, Subflow
from plait.aio.happenings import Happenings
from plait.mptcp.info import ConnectionInfo
from plait.sockets.loop import call


class ThreadedConnection(Connection):
    """Has everything done on the loop of the stack, and waits for it: about 0.1 ms each time.

    Args:
        loop: The stack's.
        connection: Its own view of the connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        self._loop = loop
        self._connection = connection

    @property
    def info(self) -> ConnectionInfo:
        """A snapshot; the last one of a connection that has ended."""
        return call(self._loop, lambda: self._connection.info)

    def events(self) -> Happenings:
        """Return what happens: to `take` in any thread, to wait for on the stack's loop only."""
        return call(self._loop, self._connection.events)

    def change(self, *, intent: str | None = None, **settings: Any) -> None:
        """Change settings of the open connection."""
        call(self._loop, partial(self._connection.change, intent=intent, **settings))

    def add_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Let the connection use local addresses, besides those it uses."""
        call(self._loop, partial(self._connection.add_addresses, addresses))

    def remove_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Let the connection use local addresses no more."""
        call(self._loop, partial(self._connection.remove_addresses, addresses))

    def subflows(self) -> tuple[Subflow, ...]:
        """Return the subflows that live or are opening."""
        return call(self._loop, self._connection.subflows)

    def open_subflow(
        self,
        local: IpAddress | None,
        remote: IpAddress | None = None,
        *,
        local_port: int = 0,
        remote_port: int = 0,
        backup: bool = False,
    ) -> int:
        """Begin to join a subflow and return its id."""
        work = partial(
            self._connection.open_subflow,
            local,
            remote,
            local_port=local_port,
            remote_port=remote_port,
            backup=backup,
        )
        return call(self._loop, work)

    def close_subflow(self, subflow_id: int, how: Literal["fin", "rst"] = "fin") -> None:
        """Close one subflow; what it carries goes elsewhere."""
        call(self._loop, partial(self._connection.close_subflow, subflow_id, how))

    def subflow_getsockopt(self, subflow_id: int, level: int, optname: int) -> int | bytes:
        """Return an option of one subflow, structures as octets."""
        ask = partial(self._connection.subflow_getsockopt, subflow_id, level, optname)
        return call(self._loop, ask)

    def subflow_setsockopt(
        self, subflow_id: int, level: int, optname: int, value: int | bytes
    ) -> None:
        """Set an option of one subflow."""
        call(
            self._loop,
            partial(self._connection.subflow_setsockopt, subflow_id, level, optname, value),
        )

    def set_backup(self, subflow_id: int, *, backup: bool) -> None:
        """Ask the peer to send on a subflow only if no other works, or again as on any."""
        call(self._loop, partial(self._connection.set_backup, subflow_id, backup=backup))
