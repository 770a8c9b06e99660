"""What a host tells its driver: few, small, edge-triggered events; data itself is pulled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from plait.addresses import IpAddress, Path
from plait.host.sharing import Stray
from plait.mptcp.info import ConnectionInfo


class LossReason(Enum):
    """Why a connection was lost."""

    REFUSED = "connection refused"
    RESET = "connection reset by peer"
    TIMED_OUT = "connection timed out"
    UNREACHABLE = "no route to host"
    ABORTED = "connection aborted"


@dataclass(frozen=True, slots=True)
class Established:
    """A connection that `Host.connect` began is open; `write` now takes data."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A listener has a new open connection."""

    connection_id: int
    listener_id: int


@dataclass(frozen=True, slots=True)
class Readable:
    """`read` will return data, or b"" at the end of the stream."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class Urgent:
    """The peer has urgent data; it comes in its place in the stream (RFC 9293, 3.8.5)."""

    connection_id: int
    end: int
    """Octets of the stream from its start to the end of what is urgent."""


@dataclass(frozen=True, slots=True)
class Writable:
    """There is room again after a `write` that took less than all."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Both directions ended cleanly; the id is free and nothing more will come."""

    connection_id: int
    info: ConnectionInfo
    """The connection as it ended."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended with an error; data not yet read is gone, the id is free."""

    connection_id: int
    reason: LossReason
    info: ConnectionInfo
    """The connection as it ended."""


@dataclass(frozen=True, slots=True)
class SubflowUp:
    """A subflow carries data from now on."""

    connection_id: int
    path: Path


class SubflowEnd(Enum):
    """How a subflow ended, or why it did not come about."""

    CLOSED = "closed"
    RESET = "reset by peer"
    ABORTED = "reset by this host"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class SubflowDown:
    """A subflow that carried data ended."""

    connection_id: int
    path: Path
    end: SubflowEnd
    reason: int | None
    """Reason of the MP_TCPRST that ended it, the peer's or ours as `end` says; None without."""


@dataclass(frozen=True, slots=True)
class JoinFailed:
    """A further subflow that this host asked for did not come about."""

    connection_id: int
    path: Path
    end: SubflowEnd
    reason: int | None
    """As in `SubflowDown`."""


@dataclass(frozen=True, slots=True)
class SubflowPriority:
    """The peer asks for a subflow to be spared, or to be used again (MP_PRIO)."""

    connection_id: int
    path: Path
    backup: bool
    """Nothing is sent on it while another subflow works."""


@dataclass(frozen=True, slots=True)
class AddressAdvertised:
    """The peer told of an address that it can be joined at (ADD_ADDR); told once, not repeated."""

    connection_id: int
    address_id: int
    address: IpAddress
    port: int
    """0 for that of the connection."""


@dataclass(frozen=True, slots=True)
class AddressWithdrawn:
    """The peer removed an address that it had told of or used (REMOVE_ADDR)."""

    connection_id: int
    address_id: int
    address: IpAddress


@dataclass(frozen=True, slots=True)
class FellBack:
    """The connection is plain TCP from now on, or opened as such although this host wanted more."""

    connection_id: int
    cause: str
    """As in `ConnectionInfo.fallback_reason`."""


@dataclass(frozen=True, slots=True)
class ChecksumFailed:
    """A DSS checksum was wrong: the path changes data (RFC 8684, 3.7).

    `FellBack` or `SubflowDown` tells what came of it.
    """

    connection_id: int
    path: Path
    remote: bool
    """The peer saw it and told by MP_FAIL; otherwise this host did."""


@dataclass(frozen=True, slots=True)
class PolicyFailed:
    """A plug-in raised or made no sense; from now on a default is in its place."""

    connection_id: int
    kind: str
    """`scheduler`, `path manager` or `congestion control`."""

    name: str
    """As the settings call it."""

    text: str
    """What was wrong."""


Event: TypeAlias = (
    Established
    | Accepted
    | Readable
    | Urgent
    | Writable
    | Closed
    | Lost
    | SubflowUp
    | SubflowDown
    | JoinFailed
    | SubflowPriority
    | AddressAdvertised
    | AddressWithdrawn
    | FellBack
    | ChecksumFailed
    | PolicyFailed
    | Stray
)
