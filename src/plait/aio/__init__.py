"""Asyncio over plait's own stack and over the kernel's Multipath TCP."""

from plait.aio.connection import Connection, connection_of
from plait.aio.kernel import Kernel
from plait.aio.ladder import use_stack
from plait.aio.opening import create_connection, create_server
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server

__all__ = [
    "Connection",
    "Kernel",
    "Stack",
    "connection_of",
    "create_connection",
    "create_server",
    "open_connection",
    "start_server",
    "use_stack",
]
