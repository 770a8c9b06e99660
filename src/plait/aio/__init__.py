"""Asyncio over plait's own stack and over the kernel's Multipath TCP."""

from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server

__all__ = ["Stack", "open_connection", "start_server"]
