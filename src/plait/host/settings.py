"""The settings of a host: what the operator chooses, flat, with every default in one place."""

from __future__ import annotations

from dataclasses import dataclass, field

from plait.congestion import controllers
from plait.mptcp.settings import ConnectionSettings
from plait.pathing import path_managers
from plait.scheduling import schedulers
from plait.tcp.handshake import MAX_SHIFT
from plait.tcp.settings import TcpSettings
from plait.units import MILLISECOND, SECOND, Nanos, Octets


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a host or of one listener or connection.  Raises UsageError for unknown names."""

    mptcp: bool = True
    """Offer and accept Multipath TCP."""

    checksum: bool = True
    """Ask for DSS checksums (RFC 8684, 3.1: flag A)."""

    congestion: str = "cubic"
    scheduler: str = "default"
    path_manager: str = "fullmesh"
    receive_buffer: Octets = 4 << 20
    send_buffer: Octets = 4 << 20
    nodelay: bool = True
    max_subflows: int = 8
    backlog: int = 128
    """Connections of a listener that are not open yet."""

    max_connections: int = 65536
    """Connections of the host, those in TIME-WAIT counted."""

    timestamps: bool = True
    sack: bool = True
    time_wait: Nanos = 60 * SECOND
    delayed_ack: Nanos = 40 * MILLISECOND
    min_rto: Nanos = 200 * MILLISECOND
    no_subflow_timeout: Nanos = 30 * SECOND
    """How long a connection lives without any subflow."""

    connection: ConnectionSettings = field(init=False)
    """The same, as connections want it."""

    def __post_init__(self) -> None:
        """Check the names and derive `connection`."""
        controllers.find(self.congestion)
        schedulers.find(self.scheduler)
        path_managers.find(self.path_manager)
        tcp = TcpSettings(
            window_scale=window_scale(self.receive_buffer),
            congestion=self.congestion,
            timestamps=self.timestamps,
            sack=self.sack,
            time_wait=self.time_wait,
            delayed_ack=self.delayed_ack,
            min_rto=self.min_rto,
        )
        derived = ConnectionSettings(
            tcp=tcp,
            mptcp=self.mptcp,
            checksum=self.checksum,
            scheduler=self.scheduler,
            path_manager=self.path_manager,
            receive_buffer=self.receive_buffer,
            send_buffer=self.send_buffer,
            nodelay=self.nodelay,
            max_subflows=self.max_subflows,
            no_subflow_timeout=self.no_subflow_timeout,
        )
        object.__setattr__(self, "connection", derived)


def window_scale(receive_buffer: Octets) -> int:
    """Return the smallest shift that lets 16 bits tell of the whole buffer (RFC 7323, 2.2).

    A larger one would tell the window in coarser steps than it moves.
    """
    return min(max(receive_buffer.bit_length() - 16, 0), MAX_SHIFT)
