"""The settings of a host: what the operator chooses, with every default in one place.

Each layer adds its own to those of the layer below, so that one flat value serves them all.
"""

from __future__ import annotations

from dataclasses import dataclass

from plait.mptcp.settings import ConnectionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ConnectionSettings):
    """Settings of a host or of one listener or connection.  Raises UsageError for unknown names."""

    backlog: int = 128
    """Connections of a listener that are not open yet."""

    max_connections: int = 65536
    """Connections of the host, those in TIME-WAIT counted."""
