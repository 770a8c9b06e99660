"""The settings of a host: what the operator chooses, with every default in one place.

Each layer adds its own to those of the layer below, so that one flat value serves them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from plait.errors import UsageError, check_name
from plait.mptcp.settings import ConnectionSettings
from plait.units import Octets

SYN_COOKIES: Final = ("never", "when needed", "always")
FAST_OPEN: Final = ("no", "client", "server", "both")

LIVE: Final = frozenset(
    {
        "bad_path_timeouts",
        "congestion",
        "data_retries",
        "failback_probe",
        "fate_sharing",
        "keepalive",
        "keepalive_idle",
        "keepalive_interval",
        "keepalive_probes",
        "nodelay",
        "orphan_timeout",
        "pacing",
        "path_manager",
        "path_probe",
        "rejoin_delay",
        "rejoin_delay_max",
        "retries",
        "scheduler",
        "subflow_time_wait",
        "time_wait",
        "tos",
        "ttl",
        "user_timeout",
    }
)
"""Settings that an open connection can change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ConnectionSettings):
    """Settings of a host or of one listener or connection.  Raises UsageError for unknown names."""

    local_ports: str = "32768-60999"
    """Local ports of connections and listeners that ask for none, first and last (Linux:
    ip_local_port_range).  That of the host counts."""

    ephemeral: range = field(init=False)
    """The same as a range."""

    backlog: int = 128
    """Connections of a listener that are not open yet, and those whose `Accepted` nobody took."""

    max_connections: int = 65536
    """Connections of the host, those in TIME-WAIT not counted."""

    max_time_wait: int = 16384
    """Connections in TIME-WAIT; the oldest make room for new ones."""

    memory: Octets = 1 << 30
    """What the buffers of all connections of the host may hold together."""

    syn_cookies: str = "when needed"
    """Whether SYNs are answered without keeping anything: `never`, `when needed` (more connections
    are opening than `backlog`) or `always` (RFC 4987, 3.6)."""

    max_answers: int = 256
    """RSTs, SYN cookies and ACKs in TIME-WAIT that wait to be sent; more are not made."""

    fast_open: str = "no"
    """Who may use data on SYNs: `no`, `client`, `server` or `both` (RFC 7413).

    The network can repeat a SYN, and with it its data.  Use it where that does no harm.
    """

    fast_open_pending: int = 16
    """Connections of a listener that a cookie opened whose handshake is not complete."""

    fast_open_cache: int = 1024
    """Pairs of addresses whose cookies are remembered."""

    peer_version_cache: int = 1024
    """Peers of which is remembered that version 1 of Multipath TCP is not for them."""

    black_hole_cache: int = 1024
    """Paths of which is remembered that SYNs with MP_CAPABLE vanish there."""

    def __post_init__(self) -> None:
        """Check the names."""
        ConnectionSettings.__post_init__(self)
        check_name("syn_cookies", self.syn_cookies, SYN_COOKIES)
        check_name("fast_open", self.fast_open, FAST_OPEN)
        object.__setattr__(self, "ephemeral", port_range("local_ports", self.local_ports))


def port_range(key: str, text: str) -> range:
    """Return the ports of `FIRST-LAST`.  Raises UsageError."""
    first, dash, last = text.partition("-")
    if dash and first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 65536:
        return range(int(first), int(last) + 1)
    raise UsageError(f"{key}: {text!r} is no range of ports: write FIRST-LAST, as 40000-49999")
