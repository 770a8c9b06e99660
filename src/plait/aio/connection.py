"""What an application can ask of one connection and have done to it, whatever it runs on.

The calls of RFC 6897, 5.3, and of draft-hesmans-mptcp-socket are methods here; the numbers that
socket options have for them are in `plait.sockets.options`.  What a back end cannot do raises
NotSupportedError, what it can only do with privileges PrivilegeError, which says which.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from plait.addresses import IpAddress, Path
from plait.aio.happenings import Happenings
from plait.errors import UsageError
from plait.mptcp.info import ConnectionInfo

LocalAddress: TypeAlias = IpAddress | tuple[IpAddress, int]
"""A local address, with the port to bind if that matters."""


def endpoint_of(address: LocalAddress) -> tuple[IpAddress, int]:
    """Return a local address and its port, 0 for any."""
    return address if isinstance(address, tuple) else (address, 0)


@dataclass(frozen=True, slots=True)
class Subflow:
    """One subflow by its id, as MPTCP_GET_SUB_IDS tells of it."""

    id: int
    """1 to 255, the same as long as the subflow lives; no address id."""

    path: Path
    fully_established: bool
    """The peer is known to have completed the handshake of this subflow (RFC 8684, 3.1 and 3.2)."""

    low_prio: bool
    """A backup."""


class Connection(ABC):
    """One open connection, or one that has ended."""

    @property
    @abstractmethod
    def info(self) -> ConnectionInfo:
        """A snapshot; the last one of a connection that has ended.

        `info.backend` tells what it runs on, `info.fallback_reason` why it is plain TCP or runs on
        something else than was preferred.
        """

    @abstractmethod
    def events(self) -> Happenings:
        """Return what happens to subflows, addresses and policies until the connection has ended.

        The last 64 events so far come first; `Closed` or `Lost` comes last.
        """

    @abstractmethod
    def change(self, *, intent: str | None = None, **settings: Any) -> None:
        """Change settings of the open connection, such as `scheduler="blest"`.

        Args:
            intent: Path manager, scheduler and congestion control that go together; `settings`
                given beside it prevail.
            settings: Fields of `plait.host.settings.Settings` that are in `LIVE`.

        Raises:
            UsageError: A setting cannot change any more, a value is impossible or its name
                unknown, or the connection has ended.  Nothing has changed then.
            NotSupportedError: The back end has no such setting for one connection.
        """

    # ---- RFC 6897

    @property
    def multipath(self) -> bool:
        """Whether Multipath TCP is in use (TCP_MULTIPATH_ENABLE, read)."""
        return self.info.is_mptcp

    @property
    def connid(self) -> int:
        """A number no other open connection of this back end has (TCP_MULTIPATH_CONNID).

        Raises UsageError if the connection is plain TCP.
        """
        token = self.info.token
        if token is None:
            raise UsageError("plain TCP has no connection id: see `info.fallback_reason`")
        return token

    @property
    def paths(self) -> tuple[Path, ...]:
        """The address pairs of the subflows that are established (TCP_MULTIPATH_SUBFLOWS)."""
        return tuple(subflow.path for subflow in self.subflows() if subflow.fully_established)

    @abstractmethod
    def add_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Let the connection use local addresses, besides those it uses (TCP_MULTIPATH_ADD).

        A hint: the path manager opens subflows from them as it sees fit.  A port that is given is
        bound.  Raises OSError with EADDRNOTAVAIL if one is no usable address of ours; nothing has
        changed then.
        """

    @abstractmethod
    def remove_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Let the connection use local addresses no more (TCP_MULTIPATH_REMOVE).

        Their subflows are drained and closed, and the peer is told (REMOVE_ADDR).  Raises
        UsageError if no subflow would be left.
        """

    # ---- draft-hesmans-mptcp-socket

    def subflows(self) -> tuple[Subflow, ...]:
        """Return the subflows that live or are opening (MPTCP_GET_SUB_IDS, MPTCP_GET_SUB_TUPLE).

        Raises UsageError on plain TCP.
        """
        return tuple(
            Subflow(one.id, one.path, one.fully_established, one.backup)
            for one in self._multipath().subflows
            if one.alive
        )

    @abstractmethod
    def open_subflow(
        self,
        local: IpAddress | None,
        remote: IpAddress | None = None,
        *,
        local_port: int = 0,
        remote_port: int = 0,
        backup: bool = False,
    ) -> int:
        """Begin to join a subflow and return its id (MPTCP_OPEN_SUB_TUPLE).

        Args:
            local: Where from; None leaves the choice to the stack.
            remote: Where to; None for the address of the first subflow.
            local_port: 0 lets the stack choose.
            remote_port: 0 for the port of the first subflow.
            backup: Whether it asks to be one (B flag of MP_JOIN).

        Raises:
            UsageError: Plain TCP, no such path, one too many.
        """

    @abstractmethod
    def close_subflow(self, subflow_id: int, how: Literal["fin", "rst"] = "fin") -> None:
        """Close one subflow (MPTCP_CLOSE_SUB_ID); what it carries goes elsewhere.

        Raises UsageError if there is none of this id or it is the last one that works.
        """

    @abstractmethod
    def subflow_getsockopt(self, subflow_id: int, level: int, optname: int) -> int | bytes:
        """Return an option of one subflow, structures as octets (MPTCP_SUB_GETSOCKOPT).

        Raises OSError with ENOPROTOOPT for options that subflows do not have.
        """

    @abstractmethod
    def subflow_setsockopt(
        self, subflow_id: int, level: int, optname: int, value: int | bytes
    ) -> None:
        """Set an option of one subflow, such as IP_TOS (MPTCP_SUB_SETSOCKOPT).

        Raises OSError with ENOPROTOOPT for options that subflows do not have.
        """

    @abstractmethod
    def set_backup(self, subflow_id: int, *, backup: bool) -> None:
        """Ask the peer to send on a subflow only if no other works, or again as on any (MP_PRIO).

        Raises UsageError if there is none of this id.
        """

    def _multipath(self) -> ConnectionInfo:
        """Return a snapshot.  Raises UsageError on plain TCP."""
        info = self.info
        if not info.is_mptcp:
            raise UsageError(f"the connection is plain TCP: {info.fallback_reason}")
        return info


def connection_of(stream: asyncio.StreamWriter | asyncio.BaseTransport) -> Connection:
    """Return the connection beneath a writer or transport of plait's, TLS in between or not.

    Raises UsageError if it is not one of plait's.
    """
    found = stream.get_extra_info("plait")
    if not isinstance(found, Connection):
        raise UsageError("this stream is not one of plait's: open it with plait.open_connection")
    return found
