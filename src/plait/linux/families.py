"""Address families and the protocol of the kernel's sockets."""

from __future__ import annotations

import socket
from typing import Final

from plait.addresses import IpAddress

IPPROTO_MPTCP: Final = 262
"""<linux/in.h>; the socket module of some Pythons lacks it."""


def family_of(address: IpAddress) -> int:
    """Return AF_INET or AF_INET6."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
