"""Buffers of sockets, as large as they are wanted or as this machine allows."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Final

from plait.units import Octets

_FORCED: Final = {socket.SO_RCVBUF: 33, socket.SO_SNDBUF: 32}
"""SO_RCVBUFFORCE and SO_SNDBUFFORCE of Linux: for root, beyond what is allowed."""


def enlarge(sock: socket.socket, octets: Octets) -> None:
    """Give both buffers of a socket a size, or what the limits of the machine allow."""
    for asked, forced in _FORCED.items():
        if sys.platform == "linux":
            try:
                sock.setsockopt(socket.SOL_SOCKET, forced, octets)
            except OSError:
                pass
            else:
                continue
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, asked, octets)
