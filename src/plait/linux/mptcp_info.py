"""Linux's struct mptcp_info (include/uapi/linux/mptcp.h of 6.18; older kernels return a prefix)."""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Final

from plait.mptcp.info import ConnectionInfo, SubflowInfo

_NAMES: Final = (
    "subflows", "add_addr_signal", "add_addr_accepted", "subflows_max", "add_addr_signal_max",
    "add_addr_accepted_max", "flags", "token", "write_seq", "snd_una", "rcv_nxt",
    "local_addr_used", "local_addr_max", "csum_enabled", "retransmits", "bytes_retrans",
    "bytes_sent", "bytes_received", "bytes_acked", "subflows_total", "endp_laminar_max",
    "endp_fullmesh_max", "last_data_sent", "last_data_recv", "last_ack_recv",
)  # fmt: skip

_INFO: Final = struct.Struct("=6B2xII3Q3BxI4Q3Bx3I")

SIZE: Final = _INFO.size

FALLBACK: Final = 0x1
REMOTE_KEY_RECEIVED: Final = 0x2
"""Bits of `flags`."""

COUNTS: Final = tuple(
    one.name
    for one in fields(ConnectionInfo)
    if one.name in set(_NAMES) - {"subflows", "token", "csum_enabled"}
)
"""The numbers that plait's snapshots have under the same names."""


def unpack(octets: bytes) -> dict[str, int]:
    """Return the fields of the structure by their names without `mptcpi_`; absent ones are 0."""
    return dict(zip(_NAMES, _INFO.unpack(octets[:SIZE].ljust(SIZE, b"\0")), strict=True))


def parse_mptcp_info(octets: bytes, subflows: tuple[SubflowInfo, ...]) -> ConnectionInfo:
    """Return plait's snapshot of a Multipath TCP connection of the kernel."""
    named = unpack(octets)
    return ConnectionInfo(
        is_mptcp=True,
        version=1,
        token=named["token"],
        csum_enabled=bool(named["csum_enabled"]),
        fallback=False,
        fallback_reason=None,
        backend="kernel",
        remote_key_received=bool(named["flags"] & REMOTE_KEY_RECEIVED),
        extra_subflows=named["subflows"],
        subflows=subflows,
        **{name: named[name] for name in COUNTS},
    )
