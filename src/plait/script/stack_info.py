"""What plait's stack knows of struct tcp_info."""

from __future__ import annotations

from dataclasses import asdict

from plait.host.host import Host
from plait.tcp.info import CA_STATES, STATES
from plait.tcp.info import tcp_info as snapshot


def has_cookie(host: Host, connection_id: int) -> bool:
    """Return whether the SYN of a connection that just began will carry data (RFC 7413)."""
    entry = host._entry(connection_id)  # noqa: SLF001 - no call of an application tells this
    attempt = entry.connection.subflows[0].tcp.fast_open
    return attempt is not None and bool(attempt.cookie)


def tcp_info(host: Host, connection_id: int) -> dict[str, int]:
    """Return the variables of the connection's first subflow."""
    entry = host._entry(connection_id)  # noqa: SLF001 - an observer, like TCP_INFO itself
    info = asdict(snapshot(entry.connection.subflows[0].tcp))
    info["state"] = STATES.index(info["state"]) + 1
    info["ca_state"] = CA_STATES.index(info["ca_state"])
    return {f"tcpi_{name}": value for name, value in info.items()}
