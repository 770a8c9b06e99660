"""What a connection tells about itself: immutable snapshots with Linux's names."""

from __future__ import annotations

from dataclasses import dataclass

from plait.addresses import Path
from plait.tcp.info import TcpInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SubflowInfo:
    """One subflow at one moment."""

    path: Path
    tcp: TcpInfo
    """The TCP connection beneath it."""

    backup: bool
    local_id: int
    remote_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """One connection at one moment."""

    is_mptcp: bool
    version: int | None
    token: int | None
    """The local token, 32 bits."""

    checksum: bool
    fallback_reason: str | None
    """Why the connection is plain TCP; None while it is Multipath TCP."""

    bytes_sent: int
    """Octets of the stream that were sent, each counted once."""

    bytes_received: int
    """Octets of the stream that arrived in order."""

    subflows: tuple[SubflowInfo, ...]
    """Live and ended ones, the first subflow first."""
