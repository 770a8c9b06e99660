"""The C library calls that Python does not offer, or not before 3.12."""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Final

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MNT_DETACH: Final = 0x2

_libc: Final = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces.  Raises OSError."""
    _check(_libc.unshare(flags))


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace that `fd` refers to.  Raises OSError."""
    _check(_libc.setns(fd, kind))


def bind_mount(source: str, target: str) -> None:
    """Make `source` appear at `target` as well.  Raises OSError."""
    _check(_libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(MS_BIND), None))


def unmount(target: str) -> None:
    """Take a mount away, now or when its last user leaves.  Raises OSError."""
    _check(_libc.umount2(target.encode(), MNT_DETACH))


def getsockopt_inout(sock: socket.socket, level: int, option: int, buffer: bytearray) -> int:
    """Read an option whose request lies in the buffer that receives the answer.

    Python's own `getsockopt` cannot pass one.  Returns the octets of the answer; raises OSError.
    """
    length = ctypes.c_uint32(len(buffer))
    memory = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    try:
        _check(_libc.getsockopt(sock.fileno(), level, option, memory, ctypes.byref(length)))
    finally:
        del memory  # an exported bytearray could not be resized by its owner
    return length.value


def _check(result: int) -> None:
    """Raise OSError with the C library's errno if the call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
