"""Blocking sockets over the kernel's Multipath TCP, a stack of plait's own or plain TCP."""

from plait.sockets.base import Socket
from plait.sockets.loop import run_stack
from plait.sockets.making import create_connection, create_server, socket

__all__ = ["Socket", "create_connection", "create_server", "run_stack", "socket"]
