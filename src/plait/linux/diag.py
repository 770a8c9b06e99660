"""What the kernel's socket diagnostics (`ss -i`) tell of one subflow, and to anybody."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

from plait.addresses import Path
from plait.linux.families import family_of
from plait.linux.netlink import Netlink, attributes, number

_BY_FAMILY: Final = 20
_INFO: Final = 2
"""Extension INET_DIAG_INFO: without it, nothing is said of Multipath TCP."""

_ALL_STATES: Final = 0xFFF
_NO_COOKIE: Final = 0xFFFFFFFF
_REQUEST: Final = struct.Struct("=4BI")
_MESSAGE_OCTETS: Final = 72
"""struct inet_diag_msg."""

# Attributes of include/uapi/linux/inet_diag.h and mptcp.h.
_ULP: Final = 19
_ULP_MPTCP: Final = 3
_FLAGS: Final = 8
_REMOTE_ID: Final = 9
_LOCAL_ID: Final = 10
_BACKUP: Final = 0x30
"""MPTCP_SUBFLOW_FLAG_BKUP_REM and _LOC."""

_FULLY_ESTABLISHED: Final = 0x40


@dataclass(frozen=True, slots=True)
class Details:
    """What MPTCP_FULL_INFO does not say of a subflow."""

    local_id: int
    remote_id: int
    backup: bool
    """Either side asked for it to be one."""

    fully_established: bool


def subflow_details(netlink: Netlink, path: Path) -> Details | None:
    """Return what is known of the subflow on `path`, None if there is none.

    Args:
        netlink: A socket of `SOCK_DIAG` in the subflow's network namespace.
    """
    try:
        answers = netlink.request(_BY_FAMILY, _request(path))
    except OSError:
        return None
    found = attributes(attributes(answers[0][_MESSAGE_OCTETS:]).get(_ULP, b""))
    if _ULP_MPTCP not in found:
        return None
    told = attributes(found[_ULP_MPTCP])
    flags = number(told.get(_FLAGS, b""))
    return Details(
        local_id=number(told.get(_LOCAL_ID, b"")),
        remote_id=number(told.get(_REMOTE_ID, b"")),
        backup=bool(flags & _BACKUP),
        fully_established=bool(flags & _FULLY_ESTABLISHED),
    )


def _request(path: Path) -> bytes:
    """Return a struct inet_diag_req_v2 that names one TCP socket."""
    ends = struct.pack("!HH", path.local_port, path.remote_port)
    ends += path.local.packed.ljust(16, b"\0") + path.remote.packed.ljust(16, b"\0")
    head = _REQUEST.pack(family_of(path.local), socket.IPPROTO_TCP, _INFO, 0, _ALL_STATES)
    return head + ends + struct.pack("=3I", 0, _NO_COOKIE, _NO_COOKIE)
