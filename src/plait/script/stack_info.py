"""What scripts see and do inside plait's stack that no call of an application offers."""

from __future__ import annotations

from dataclasses import asdict

from plait.addresses import IpAddress
from plait.host.host import Host
from plait.linux.mptcp_info import COUNTS
from plait.mptcp import priorities
from plait.tcp.info import CA_STATES, STATES
from plait.tcp.info import tcp_info as snapshot
from plait.units import Nanos


def has_cookie(host: Host, connection_id: int) -> bool:
    """Return whether the SYN of a connection that just began will carry data (RFC 7413)."""
    entry = host._connections.find(connection_id)  # noqa: SLF001 - no call of an application tells this
    attempt = entry.connection.subflows[0].tcp.fast_open
    return attempt is not None and bool(attempt.cookie)


def tcp_info(host: Host, now: Nanos, connection_id: int) -> dict[str, int]:
    """Return the variables of the connection's first subflow, and those of Multipath TCP."""
    entry = host._connections.find(connection_id)  # noqa: SLF001 - an observer, like TCP_INFO itself
    info = asdict(snapshot(entry.connection.subflows[0].tcp))
    info["state"] = STATES.index(info["state"]) + 1
    info["ca_state"] = CA_STATES.index(info["ca_state"])
    found = {f"tcpi_{name}": value for name, value in info.items()}
    told = entry.connection.info(now)
    if told.is_mptcp:
        counts = {name: getattr(told, name) for name in COUNTS}
        found |= {f"mptcpi_{name}": value for name, value in counts.items()}
        found |= {
            "mptcpi_subflows": told.extra_subflows,
            "mptcpi_csum_enabled": int(told.csum_enabled),
        }
    return found


def set_backup(host: Host, now: Nanos, address: IpAddress, backup: bool) -> None:
    """Ask the peers of all connections to spare subflows from an address, or to use them."""
    for entry in host._connections.by_id.values():  # noqa: SLF001 - no call does this for all
        for subflow in entry.connection.subflows:
            if subflow.alive and subflow.path.local == address:
                priorities.set_backup(entry.connection, now, subflow, backup)
        host._touch(entry)  # noqa: SLF001 - the turn that is owed sends it
