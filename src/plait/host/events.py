"""What a host tells its driver: few, small, edge-triggered events; data itself is pulled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from plait.addresses import Path
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


@dataclass(frozen=True, slots=True)
class SubflowDown:
    """A subflow ended; `reason` is the MP_TCPRST reason of the peer, or None."""

    connection_id: int
    path: Path
    reason: int | None


@dataclass(frozen=True, slots=True)
class SubflowPriority:
    """The peer asks for a subflow to be spared, or to be used again (MP_PRIO)."""

    connection_id: int
    path: Path
    backup: bool
    """Nothing is sent on it while another subflow works."""


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
    | SubflowPriority
)
