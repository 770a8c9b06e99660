"""Multipath TCP (RFC 8684) and the TCP beneath it, in Python."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plait.aio import (
        Connection,
        Kernel,
        Stack,
        connection_of,
        create_connection,
        create_server,
        open_connection,
        start_server,
        use_stack,
    )
    from plait.sockets import socket

__all__ = [
    "Connection",
    "Kernel",
    "Stack",
    "connection_of",
    "create_connection",
    "create_server",
    "open_connection",
    "socket",
    "start_server",
    "use_stack",
]


def __getattr__(name: str) -> object:
    """Import the upper layers when they are asked for: the core does without them."""
    if name in __all__:
        layer = "plait.sockets" if name == "socket" else "plait.aio"
        return getattr(import_module(layer), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
