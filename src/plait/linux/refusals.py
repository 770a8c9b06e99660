"""Socket options that the kernel's Multipath TCP refuses, as tried on Linux 6.18.

Each of them works on a TCP socket, before and after connecting.  So a program that wants one gets
TCP and is told why, never a socket that lacks what was asked for.
"""

from __future__ import annotations

import socket
from typing import Final

_TCP: Final = {
    7: "TCP_SYNCNT",
    8: "TCP_LINGER2",
    10: "TCP_WINDOW_CLAMP",
    12: "TCP_QUICKACK",
    14: "TCP_MD5SIG",
    16: "TCP_THIN_LINEAR_TIMEOUTS",
    17: "TCP_THIN_DUPACK",
    18: "TCP_USER_TIMEOUT",
    19: "TCP_REPAIR",
    20: "TCP_REPAIR_QUEUE",
    21: "TCP_QUEUE_SEQ",
    22: "TCP_REPAIR_OPTIONS",
    24: "TCP_TIMESTAMP",
    27: "TCP_SAVE_SYN",
    28: "TCP_SAVED_SYN",
    29: "TCP_REPAIR_WINDOW",
    31: "TCP_ULP",
    32: "TCP_MD5SIG_EXT",
    35: "TCP_ZEROCOPY_RECEIVE",
    37: "TCP_TX_DELAY",
    38: "TCP_AO_ADD_KEY",
    39: "TCP_AO_DEL_KEY",
    40: "TCP_AO_INFO",
    41: "TCP_AO_GET_KEY",
    42: "TCP_AO_REPAIR",
    44: "TCP_RTO_MAX_MS",
    45: "TCP_RTO_MIN_US",
    46: "TCP_DELACK_MAX_US",
}

_SOCKET: Final = {10: "SO_OOBINLINE", 47: "SO_MAX_PACING_RATE", 60: "SO_ZEROCOPY", 61: "SO_TXTIME"}

_IP: Final = {
    2: "IP_TTL",
    4: "IP_OPTIONS",
    6: "IP_RECVOPTS",
    7: "IP_RETOPTS",
    8: "IP_PKTINFO",
    10: "IP_MTU_DISCOVER",
    11: "IP_RECVERR",
    12: "IP_RECVTTL",
    13: "IP_RECVTOS",
    21: "IP_MINTTL",
}

_IPV6: Final = {
    16: "IPV6_UNICAST_HOPS",
    23: "IPV6_MTU_DISCOVER",
    25: "IPV6_RECVERR",
    49: "IPV6_RECVPKTINFO",
    51: "IPV6_RECVHOPLIMIT",
    53: "IPV6_RECVHOPOPTS",
    56: "IPV6_RECVRTHDR",
    58: "IPV6_RECVDSTOPTS",
    60: "IPV6_RECVPATHMTU",
    62: "IPV6_DONTFRAG",
    66: "IPV6_RECVTCLASS",
    67: "IPV6_TCLASS",
}

REFUSED: Final[dict[tuple[int, int], str]] = {
    (level, option): name
    for level, names in (
        (socket.IPPROTO_TCP, _TCP),
        (socket.SOL_SOCKET, _SOCKET),
        (socket.IPPROTO_IP, _IP),
        (socket.IPPROTO_IPV6, _IPV6),
    )
    for option, name in names.items()
}
"""Names by level and number."""


def refusal(level: int, option: int) -> str | None:
    """Return why an option needs TCP, None if it does not."""
    name = REFUSED.get((level, option))
    return None if name is None else f"{name} needs TCP: the kernel's Multipath TCP refuses it"
