"""What an operator may set about one connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from plait.errors import check_name
from plait.pathing import path_managers
from plait.scheduling import schedulers
from plait.tcp.settings import TcpSettings
from plait.units import SECOND, Nanos

MPTCP_VERSIONS: Final = ("v1", "v0", "both")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings(TcpSettings):
    """Settings of a connection and of its subflows.  Raises UsageError for unknown names."""

    mptcp: bool = True
    """Offer and accept Multipath TCP; otherwise speak plain TCP."""

    mptcp_versions: str = "v1"
    """Versions to speak: `v1`, `v0` (RFC 6824) or `both`.

    With `both` a listener answers what the SYN offers; an initiator offers version 1 first, and
    version 0 to peers that took no notice of that (RFC 8684, 3.1).
    """

    checksum: bool = True
    """Ask for DSS checksums: flag A of MP_CAPABLE (RFC 8684, 3.1)."""

    scheduler: str = "default"
    path_manager: str = "fullmesh"
    max_subflows: int = 8
    """Subflows at one time, whoever opens them."""

    max_half_open_joins: int = 4
    """Of these, those the peer opens whose HMAC is still to come (RFC 8684, 5)."""

    max_addresses: int = 8
    """Addresses of the peer remembered (RFC 8684, 5: advertisements must not flood)."""

    mptcp_syn_tries: int = 3
    """SYNs with MP_CAPABLE before a plain one (Linux: syn_retrans_before_tcp_fallback plus one)."""

    add_addr_tries: int = 4
    """Transmissions of an ADD_ADDR that is not echoed (Linux sends as many)."""

    data_retries: int = 15
    """Transmissions of a DATA_FIN, or of data that subflows deliver in vain, before a connection is
    given up: about two minutes."""

    no_subflow_timeout: Nanos = 30 * SECOND
    """How long a connection lives without any subflow (RFC 8684, 3.3.3: break before make)."""

    def __post_init__(self) -> None:
        """Check the names."""
        TcpSettings.__post_init__(self)
        check_name("mptcp_versions", self.mptcp_versions, MPTCP_VERSIONS)
        schedulers.find(self.scheduler)
        path_managers.find(self.path_manager)
