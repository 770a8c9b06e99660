"""What an operator may set about one connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from plait.addresses import IpAddress
from plait.errors import UsageError, check_name
from plait.pathing import path_managers
from plait.scheduling import schedulers
from plait.tcp.settings import TcpSettings
from plait.units import SECOND, Nanos

MPTCP_VERSIONS: Final = ("v1", "v0", "both")
WIDTHS: Final = (4, 8)
MAX_SUBFLOWS: Final = 255

SUBFLOW: Final = frozenset(
    {
        "congestion",
        "keepalive",
        "keepalive_idle",
        "keepalive_interval",
        "keepalive_probes",
        "retries",
        "tos",
        "ttl",
        "user_timeout",
    }
)
"""Settings that one subflow can have of its own."""


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

    accept_checksum: bool = True
    """Use them if only the peer asks; otherwise the connection is plain TCP then."""

    allow_join_initial: bool = True
    """Let the peer join the address and port of the first subflow.

    False sets flag C of MP_CAPABLE (RFC 8684, 3.1), as behind a strict NAT, or a load balancer that
    would send joins to another server; `advertise` then says where joins may go.
    """

    advertise: str = ""
    """Addresses that the peer is told of, separated by commas, whatever the path manager does.

    Each may bring a port of its own: `10.0.0.7:8443` or `[2001:db8::7]:8443`.
    """

    advertised: tuple[tuple[IpAddress, int], ...] = field(init=False)
    """`advertise` as addresses and ports, 0 for that of the connection."""

    local_addresses: str = ""
    """Addresses of this host that a connection may use and tell of, written likewise; none for all.

    The first subflow's is one of them in any case.  Subflows from an address with a port are bound
    to that port (RFC 6897, 5.3.3).
    """

    chosen: tuple[tuple[IpAddress, int], ...] = field(init=False)
    """`local_addresses` as addresses and ports."""

    dsn_octets: int = 8
    """Octets of a DSN, 8 or 4; 4 become 8 where they could wrap too soon (RFC 8684, 3.3.1)."""

    data_ack_octets: int = 8
    """Octets of a Data ACK, likewise."""

    scheduler: str = "default"
    path_manager: str = "fullmesh"
    max_subflows: int = 8
    """Subflows at one time, whoever opens them: 1 to 255."""

    max_half_open_joins: int = 4
    """Of these, those the peer opens whose HMAC is still to come (RFC 8684, 5).

    One that takes longer than `initial_rto` gives its place to others that want it.
    """

    max_addresses: int = 8
    """Addresses of the peer remembered (RFC 8684, 5: advertisements must not flood)."""

    mptcp_syn_tries: int = 3
    """SYNs with MP_CAPABLE before a plain one (Linux: syn_retrans_before_tcp_fallback plus one)."""

    black_hole_timeout: Nanos = 3600 * SECOND
    """How long connections on a path open as plain TCP after only a SYN without MP_CAPABLE was
    answered there, doubled with each failure in a row; 0 for never (Linux: blackhole_timeout)."""

    add_addr_tries: int = 4
    """Transmissions of an ADD_ADDR that is not echoed (Linux sends as many)."""

    data_retries: int = 15
    """Transmissions of a DATA_FIN, or of data that subflows deliver in vain, before a connection is
    given up: about two minutes."""

    bad_path_timeouts: int = 0
    """Retransmission time-outs in a row before a subflow is reset although others work (RFC 8684,
    3.3.6); 0 keeps it, since its data went elsewhere and the path may come back."""

    failback_probe: Nanos = SECOND
    """How long a subflow stays unmeasured that the scheduler leaves idle for its delay while data
    flows: then it carries a copy of a segment; 0 for ever.  Backups are spared."""

    path_probe: Nanos = 0
    """How long an idle subflow may be silent, beside others, before keep-alives ask whether its
    path works; one that does not answer three of them is reset; 0 for never."""

    subflow_time_wait: Nanos = 15 * SECOND
    """TIME-WAIT of subflows after the stream ended in both directions (RFC 8684, 3.3.3).

    `time_wait` if that is less.
    """

    orphan_timeout: Nanos = 60 * SECOND
    """How long a connection that its application has released may wait without an acknowledgment of
    its stream, or for the peer's end of it; then it is aborted."""

    rejoin_delay: Nanos = SECOND
    """How long after a subflow was lost the path manager may make it again, doubled with each
    failure in a row; 0 for never."""

    rejoin_delay_max: Nanos = 60 * SECOND
    """The most that this becomes; a subflow that lasts for longer is no failure."""

    no_subflow_timeout: Nanos = 30 * SECOND
    """How long a connection lives without any subflow (RFC 8684, 3.3.3: break before make)."""

    fate_sharing: bool = False
    """Abort a connection whose first subflow ended before the stream (RFC 6897, 4.2.2)."""

    def __post_init__(self) -> None:
        """Check names and bounds, and read the addresses."""
        TcpSettings.__post_init__(self)
        check_name("mptcp_versions", self.mptcp_versions, MPTCP_VERSIONS)
        if self.checksum and not self.accept_checksum:
            raise UsageError("accept_checksum: cannot be off while checksum asks for them")
        for name, octets in (("dsn", self.dsn_octets), ("data_ack", self.data_ack_octets)):
            if octets not in WIDTHS:
                raise UsageError(f"{name}_octets: must be 4 or 8, not {octets}")
        if not 1 <= self.max_subflows <= MAX_SUBFLOWS:
            raise UsageError(
                f"max_subflows: must be between 1 and {MAX_SUBFLOWS}, not {self.max_subflows}"
            )
        object.__setattr__(self, "advertised", _endpoints("advertise", self.advertise))
        object.__setattr__(self, "chosen", _endpoints("local_addresses", self.local_addresses))
        schedulers.make(self.scheduler)
        path_managers.make(self.path_manager)


def _endpoints(key: str, text: str) -> tuple[tuple[IpAddress, int], ...]:
    """Return the addresses and ports of a setting.  Raises UsageError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(_endpoint(key, part) for part in parts)


def _endpoint(key: str, text: str) -> tuple[IpAddress, int]:
    """Return an address and a port, 0 if there is none.  Raises UsageError."""
    address, port = text, "0"
    if text.startswith("["):
        address, _, port = text[1:].partition("]:")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    try:
        found = ip_address(address)
    except ValueError:
        raise UsageError(f"{key}: {text!r} is no address, or address and port") from None
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{key}: {text!r} has no port between 0 and 65535")
    return found, int(port)
