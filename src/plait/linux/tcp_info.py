"""Linux's struct tcp_info (include/uapi/linux/tcp.h of 6.18; older kernels return a prefix)."""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Final

from plait.tcp.info import CA_STATES, STATES, TcpInfo

_BYTES: Final = (
    "state", "ca_state", "retransmits", "probes", "backoff", "options", "wscales", "limits",
)  # fmt: skip
_FIELDS: Final = (
    *((name, "I") for name in (
        "rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets",
        "last_data_sent", "last_ack_sent", "last_data_recv", "last_ack_recv", "pmtu",
        "rcv_ssthresh", "rtt", "rttvar", "snd_ssthresh", "snd_cwnd", "advmss", "reordering",
        "rcv_rtt", "rcv_space", "total_retrans",
    )),
    *((name, "Q") for name in (
        "pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received",
    )),
    *((name, "I") for name in (
        "segs_out", "segs_in", "notsent_bytes", "min_rtt", "data_segs_in", "data_segs_out",
    )),
    *((name, "Q") for name in (
        "delivery_rate", "busy_time", "rwnd_limited", "sndbuf_limited",
    )),
    *((name, "I") for name in ("delivered", "delivered_ce")),
    *((name, "Q") for name in ("bytes_sent", "bytes_retrans")),
    *((name, "I") for name in (
        "dsack_dups", "reord_seen", "rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash",
    )),
)  # fmt: skip
"""struct tcp_info of Linux 6 after its first eight octets: names and widths."""

_INFO: Final = struct.Struct("=8B" + "".join(width for _, width in _FIELDS))

SIZE: Final = _INFO.size

_NUMBERS: Final = tuple(
    field.name for field in fields(TcpInfo) if field.name not in {"state", "ca_state"}
)
"""What plait reports of it besides states."""


def unpack(octets: bytes) -> dict[str, int]:
    """Return the fields of the structure by their names without `tcpi_`, bit fields apart."""
    values = _INFO.unpack(octets[:SIZE].ljust(SIZE, b"\0"))
    named = dict(zip(_BYTES, values[:8], strict=True))
    named["snd_wscale"] = named["wscales"] & 0xF
    named["rcv_wscale"] = named.pop("wscales") >> 4
    named["delivery_rate_app_limited"] = named.pop("limits") & 1
    named.update(zip((name for name, _ in _FIELDS), values[8:], strict=True))
    return named


def pack(info: TcpInfo) -> bytes:
    """Return the structure as the kernel would fill it in; what `info` does not tell is 0."""
    head = (
        STATES.index(info.state) + 1,
        CA_STATES.index(info.ca_state),
        0,
        0,
        info.backoff,
        info.options,
        info.rcv_wscale << 4 | info.snd_wscale,
        0,
    )
    return _INFO.pack(*head, *(getattr(info, name, 0) for name, _ in _FIELDS))


def parse_tcp_info(octets: bytes) -> TcpInfo:
    """Return what plait reports of the structure."""
    named = unpack(octets)
    numbers = {name: named[name] for name in _NUMBERS}
    return TcpInfo(
        state=_name(STATES, named["state"] - 1),
        ca_state=_name(CA_STATES, named["ca_state"]),
        **numbers,
    )


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else "?"
