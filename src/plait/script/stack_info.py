"""What plait's stack knows of struct tcp_info."""

from __future__ import annotations

from typing import Final

from plait.host.host import Host
from plait.units import MICROSECOND

_STATES: Final = (
    "ESTABLISHED",
    "SYN-SENT",
    "SYN-RECEIVED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "CLOSED",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
)
"""Linux numbers them from 1."""


def has_cookie(host: Host, connection_id: int) -> bool:
    """Return whether the SYN of a connection that just began will carry data (RFC 7413)."""
    entry = host._entry(connection_id)  # noqa: SLF001 - no call of an application tells this
    attempt = entry.connection.subflows[0].tcp.fast_open
    return attempt is not None and bool(attempt.cookie)


def tcp_info(host: Host, connection_id: int) -> dict[str, int]:
    """Return the variables of the connection's first subflow, windows in segments as Linux's."""
    entry = host._entry(connection_id)  # noqa: SLF001 - an observer, like TCP_INFO itself
    tcp = entry.connection.subflows[0].tcp
    sender = tcp.sender
    mss = sender.mss
    ssthresh = sender.controller.ssthresh
    return {
        "tcpi_state": _STATES.index(tcp.state.value) + 1,
        "tcpi_snd_mss": mss,
        "tcpi_rto": sender.rtt.rto // MICROSECOND,
        "tcpi_rtt": sender.rtt.srtt // MICROSECOND,
        "tcpi_rttvar": sender.rtt.rttvar // MICROSECOND,
        "tcpi_min_rtt": sender.rtt.min_rtt // MICROSECOND,
        "tcpi_snd_cwnd": sender.controller.cwnd // mss,
        "tcpi_snd_ssthresh": min(ssthresh // mss, 0x7FFFFFFF),
        "tcpi_backoff": sender.backoff,
        "tcpi_unacked": -(-(sender.snd_nxt - max(sender.snd_una, 1)) // mss),
        "tcpi_lost": -(-sender.scoreboard.lost.total // mss),
        "tcpi_total_retrans": sender.resent_segments,
        "tcpi_bytes_sent": sender.sent,
        "tcpi_bytes_received": tcp.receiver.received,
        "tcpi_advmss": tcp.local_mss,
        "tcpi_options": (1 if tcp.timestamps.on else 0)
        | (2 if tcp.sack else 0)
        | (4 if tcp.window_scaling else 0),
    }
