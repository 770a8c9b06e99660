"""What sockets of programs say of their ends, where a relay stands between.

Both ends of a relayed socket are on loopback; its program is to hear of the real ones.  Sockets are
known by their inodes, which no two open ones share.
"""

from __future__ import annotations

import os
import socket
from collections import OrderedDict
from typing import Final

from plait.linux.sockaddr import Destination
from plait.linux.steering import Call

MAX_BOUND: Final = 4096
"""Sockets remembered that are bound alone, or whose relay is over; the oldest are forgotten."""


class Names:
    """Addresses by inode; the loop of the stack writes, any thread may read."""

    def __init__(self) -> None:
        self._ends: dict[int, tuple[Destination, Destination]] = {}
        self._bound: OrderedDict[int, Destination] = OrderedDict()
        self._ended: OrderedDict[int, Destination] = OrderedDict()

    def bind(self, inode: int, local: Destination) -> None:
        """A socket asked for an address of the stack."""
        self._bound[inode] = local
        _trim(self._bound)

    def bound(self, inode: int) -> Destination | None:
        """Return what `bind` was told."""
        return self._bound.get(inode)

    def connect(self, inode: int, local: Destination, remote: Destination) -> None:
        """A socket is one end of a relay whose other end has these names."""
        self._ended.pop(inode, None)
        self._ends[inode] = local, remote

    def end(self, inode: int) -> None:
        """The relay is over; the socket keeps its local address as long as it is open."""
        ends = self._ends.get(inode)
        self.forget(inode)
        if ends is not None:
            self._ended[inode] = ends[0]
            _trim(self._ended)

    def forget(self, inode: int) -> None:
        """The socket is the kernel's."""
        for names in (self._ends, self._bound, self._ended):
            names.pop(inode, None)

    def local(self, inode: int) -> Destination | None:
        """Return the real local address of a socket, None if it is the kernel's."""
        ends = self._ends.get(inode)
        if ends is not None:
            return ends[0]
        return self._bound.get(inode) or self._ended.get(inode)

    def remote(self, inode: int) -> Destination | None:
        """Return the real remote address of a socket, None if it is the kernel's."""
        ends = self._ends.get(inode)
        return None if ends is None else ends[1]


def _trim(names: OrderedDict[int, Destination]) -> None:
    """Forget the oldest of too many."""
    while len(names) > MAX_BOUND:
        names.popitem(last=False)


def inode_of(sock: socket.socket) -> int:
    """Return what a socket is known by."""
    return os.fstat(sock.fileno()).st_ino


def write_name(call: Call, name: bytes) -> None:
    """Write a socket address where a call wants it: its second and third argument.

    Raises OSError as for any access to the program's memory.
    """
    pointer, length = call.arguments[1:3]
    if pointer and length:
        room = int.from_bytes(call.target.read(length, 4), "little")
        call.target.write(pointer, name[:room])
        call.target.write(length, len(name).to_bytes(4, "little"))
