"""The C library calls that Python does not offer, or not before 3.12."""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Any, Final

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MNT_DETACH: Final = 0x2

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.process_vm_readv.restype = ctypes.c_ssize_t
_libc.process_vm_writev.restype = ctypes.c_ssize_t


class _Extent(ctypes.Structure):
    """struct iovec of <sys/uio.h>: octets somewhere in memory."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


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


def syscall(number: int, *arguments: Any) -> int:
    """Make a system call that has no function in every C library.  Raises OSError."""
    words = (ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    _check(result)
    return result


def ioctl(fd: int, request: int, argument: Any) -> int:
    """Control a descriptor with a structure that stays where it is.  Raises OSError."""
    result: int = _libc.ioctl(fd, ctypes.c_ulong(request), argument)
    _check(result)
    return result


def prctl(option: int, value: int) -> None:
    """Change what this process or thread is.  Raises OSError."""
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def set_file_owner(uid: int, gid: int) -> tuple[int, int]:
    """Let what the calling thread makes belong to others; return whose it was before.

    Without the privilege nothing changes.
    """
    group = _libc.setfsgid(gid)
    return _libc.setfsuid(uid), group


def read_memory(pid: int, address: int, octets: int) -> bytes:
    """Return up to `octets` octets of the memory of another process.  Raises OSError."""
    buffer = ctypes.create_string_buffer(octets)
    local = _Extent(ctypes.addressof(buffer), octets)
    remote = _Extent(address, octets)
    read = _libc.process_vm_readv(
        pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, ctypes.c_ulong(0)
    )
    _check(read)
    return buffer.raw[:read]


def write_memory(pid: int, address: int, data: bytes) -> None:
    """Write into the memory of another process.  Raises OSError."""
    buffer = ctypes.create_string_buffer(data, len(data))
    local = _Extent(ctypes.addressof(buffer), len(data))
    remote = _Extent(address, len(data))
    _check(
        _libc.process_vm_writev(
            pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, ctypes.c_ulong(0)
        )
    )


def _check(result: int) -> None:
    """Raise OSError with the C library's errno if the call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
