"""Socket options and sysctls on plait's own stack: one row for each, naming a field of Settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

from plait.host.settings import Settings
from plait.script.errors import UnsupportedError
from plait.script.symbols import constant
from plait.units import MILLISECOND, SECOND

_KNOWN: Final = frozenset(field.name for field in fields(Settings) if field.init)


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Row:
    """A socket option or a sysctl."""

    name: str
    field: str | None
    """The setting it is; None for an option that changes nothing on this stack."""

    read: Callable[[Any], Any] = _same
    """From the number or text of the option to the setting."""

    write: Callable[[Any], int] = int
    """From the setting to the number that getsockopt returns."""

    def setting(self, value: Any) -> dict[str, Any]:
        """Return what the option changes.  Raises UnsupportedError if there is no such setting."""
        if self.field is None:
            return {}
        if self.field not in _KNOWN:
            raise UnsupportedError(f"{self.name} on plait's stack")
        return {self.field: self.read(value)}

    def value(self, settings: Settings) -> int:
        """Return what getsockopt says."""
        if self.field is None:
            return 0
        if self.field not in _KNOWN:
            raise UnsupportedError(f"{self.name} on plait's stack")
        return self.write(getattr(settings, self.field))


def _seconds(value: int) -> int:
    return value * SECOND


def _to_seconds(value: int) -> int:
    return value // SECOND


def _twice(value: int) -> int:
    """Return a buffer's size as Linux tells it: bookkeeping counted."""
    return 2 * value


_OPTIONS: Final = (
    ("SOL_SOCKET", Row("SO_REUSEADDR", None)),
    ("SOL_SOCKET", Row("SO_REUSEPORT", None)),
    ("SOL_SOCKET", Row("SO_OOBINLINE", None)),
    ("SOL_SOCKET", Row("SO_RCVBUF", "receive_buffer", write=_twice)),
    ("SOL_SOCKET", Row("SO_RCVBUFFORCE", "receive_buffer", write=_twice)),
    ("SOL_SOCKET", Row("SO_SNDBUF", "send_buffer", write=_twice)),
    ("SOL_SOCKET", Row("SO_SNDBUFFORCE", "send_buffer", write=_twice)),
    ("SOL_SOCKET", Row("SO_KEEPALIVE", "keepalive", bool)),
    ("IPPROTO_TCP", Row("TCP_NODELAY", "nodelay", bool)),
    ("IPPROTO_TCP", Row("TCP_MAXSEG", "max_mss")),
    ("IPPROTO_TCP", Row("TCP_SYNCNT", "syn_retries")),
    ("IPPROTO_TCP", Row("TCP_KEEPIDLE", "keepalive_idle", _seconds, _to_seconds)),
    ("IPPROTO_TCP", Row("TCP_KEEPINTVL", "keepalive_interval", _seconds, _to_seconds)),
    ("IPPROTO_TCP", Row("TCP_KEEPCNT", "keepalive_probes")),
    (
        "IPPROTO_TCP",
        Row(
            "TCP_USER_TIMEOUT",
            "user_timeout",
            lambda value: value * MILLISECOND,
            lambda value: value // MILLISECOND,
        ),
    ),
    ("IPPROTO_TCP", Row("TCP_CONGESTION", "congestion")),
    ("IPPROTO_TCP", Row("TCP_FASTOPEN", "fast_open", lambda value: "server" if value else "no")),
    ("IPPROTO_TCP", Row("TCP_CORK", "cork", bool)),
    ("IPPROTO_TCP", Row("TCP_QUICKACK", "quick_ack", bool)),
    ("SOL_IP", Row("IP_TOS", "tos")),
    ("SOL_IP", Row("IP_TTL", "ttl")),
    ("SOL_IP", Row("IP_MTU_DISCOVER", None)),
    ("SOL_IPV6", Row("IPV6_TCLASS", "tos")),
)

OPTIONS: Final = {(constant(level), constant(row.name)): row for level, row in _OPTIONS}
"""By level and number."""


def _last(text: str) -> int:
    """Return the maximum of three numbers: minimum, default, maximum."""
    return int(text.rsplit(maxsplit=1)[-1])


def _switch(text: str) -> bool:
    return text != "0"


def _cookies(text: str) -> str:
    return {"0": "never", "1": "when needed", "2": "always"}[text]


_INVISIBLE: Final = (
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.ipv4.ip_forward",
    "net.ipv4.tcp_autocorking",
    "net.ipv4.tcp_dsack",
    "net.ipv4.tcp_early_retrans",
    "net.ipv4.tcp_fack",
    "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_frto",
    "net.ipv4.tcp_limit_output_bytes",
    "net.ipv4.tcp_min_tso_segs",
    "net.ipv4.tcp_moderate_rcvbuf",
    "net.ipv4.tcp_no_metrics_save",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_pacing_ca_ratio",
    "net.ipv4.tcp_pacing_ss_ratio",
    "net.ipv4.tcp_recovery",
    "net.ipv4.tcp_reordering",
    "net.ipv4.tcp_rfc1337",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_tso_win_divisor",
    "net.mptcp.add_addr_timeout",
    "net.mptcp.blackhole_timeout",
    "net.mptcp.enabled",
)
"""Sysctls of what this stack always does, or never."""

SYSCTLS: Final = {
    row.name: row
    for row in (
        Row("net.ipv4.tcp_rmem", "receive_buffer", _last),
        Row("net.ipv4.tcp_wmem", "send_buffer", _last),
        Row("net.ipv4.tcp_timestamps", "timestamps", _switch),
        Row("net.ipv4.tcp_sack", "sack", _switch),
        Row("net.ipv4.tcp_window_scaling", "window_scaling", _switch),
        Row("net.ipv4.tcp_syn_retries", "syn_retries", int),
        Row("net.ipv4.tcp_synack_retries", "syn_retries", int),
        Row("net.ipv4.tcp_retries2", "retries", int),
        Row("net.ipv4.tcp_congestion_control", "congestion"),
        Row("net.ipv4.tcp_syncookies", "syn_cookies", _cookies),
        Row(
            "net.ipv4.tcp_ecn", "ecn", lambda text: {"0": "no", "1": "active", "2": "passive"}[text]
        ),
        Row("net.ipv4.tcp_keepalive_time", "keepalive_idle", lambda text: int(text) * SECOND),
        Row("net.ipv4.tcp_keepalive_intvl", "keepalive_interval", lambda text: int(text) * SECOND),
        Row("net.ipv4.tcp_keepalive_probes", "keepalive_probes", int),
        Row(
            "net.ipv4.tcp_invalid_ratelimit", "challenge_gap", lambda text: int(text) * MILLISECOND
        ),
        Row("net.mptcp.allow_join_initial_addr_port", "allow_join_initial", _switch),
        Row("net.mptcp.checksum_enabled", "checksum", _switch),
        Row("net.mptcp.mptcp_version", "mptcp_versions", lambda text: f"v{int(text)}"),
        Row("net.mptcp.close_timeout", "no_subflow_timeout", lambda text: int(text) * SECOND),
        Row("net.mptcp.syn_retrans_before_tcp_fallback", "mptcp_syn_tries", lambda t: int(t) + 1),
        *(Row(name, None) for name in _INVISIBLE),
    )
}
"""By name with dots."""
