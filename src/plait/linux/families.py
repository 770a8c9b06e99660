"""Address families of the kernel's sockets."""

from __future__ import annotations

import socket

from plait.addresses import IpAddress


def family_of(address: IpAddress) -> int:
    """Return AF_INET or AF_INET6."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
