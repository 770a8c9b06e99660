"""System calls stopped for user space: seccomp's user notification, by ctypes.

`stop_calls` puts a filter on the calling thread and all that descend from it.  Each call that the
filter stops waits until whoever holds the `Listener` answers it: let it go on, give it a result,
or put a descriptor into the process that calls.  Numbers and layouts are of <linux/seccomp.h>.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence
from fcntl import ioctl
from mmap import mmap
from typing import Final

from plait.errors import NotSupportedError, UsageError
from plait.linux import libc
from plait.linux.closing import Closing
from plait.linux.seccomp_filter import Instruction

_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
"""__NR_seccomp: <asm/unistd_64.h>, <asm-generic/unistd.h>."""

_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 1 << 3
_WAIT_KILLABLE: Final = 1 << 5
"""SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19): signals with a handler wait for the
answer."""

_PR_SET_NO_NEW_PRIVS: Final = 38
"""<linux/prctl.h>."""

_CONTINUE: Final = 1
"""SECCOMP_USER_NOTIF_FLAG_CONTINUE."""

_SETFD: Final = 1
_SEND: Final = 2
"""SECCOMP_ADDFD_FLAG_SETFD, and _SEND of Linux 5.14."""

_SYNC_WAKE_UP: Final = 1
"""SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: caller and supervisor take turns on one processor
(Linux 6.6)."""


_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif with struct seccomp_data in it: id, pid, flags; number, architecture,
instruction pointer, arguments."""

NOTIFICATION_OCTETS: Final = _NOTIFICATION.size
_NOTHING: Final = bytes(NOTIFICATION_OCTETS)

_RESPONSE: Final = struct.Struct("=QqiI")
"""struct seccomp_notif_resp: id, value, error, flags."""

_ADD_FD: Final = struct.Struct("=QIIII")
"""struct seccomp_notif_addfd: id, flags, source, target, flags of the target."""

_ID: Final = struct.Struct("=Q")


class Notification:
    """Room for a call that waits, in memory that may be shared with other processes.

    Args:
        memory: Where it is to be; None for room of its own.
        offset: Where in it.
    """

    __slots__ = ("_octets", "pointer")

    def __init__(self, memory: bytearray | mmap | None = None, offset: int = 0) -> None:
        room = bytearray(NOTIFICATION_OCTETS) if memory is None else memory
        self._octets = memoryview(room)[offset : offset + NOTIFICATION_OCTETS]
        self.pointer = (ctypes.c_char * NOTIFICATION_OCTETS).from_buffer(room, offset)

    @property
    def id(self) -> int:
        """What answers refer to; 0 if there is no call."""
        call_id: int = _NOTIFICATION.unpack(self._octets)[0]
        return call_id

    def clear(self) -> None:
        """Forget the call."""
        self._octets[:] = _NOTHING

    def read(self) -> tuple[int, int, int, int, tuple[int, ...]]:
        """Return its id, the calling thread, number, architecture and the six arguments.

        The thread is as the process sees it that installed the filter.
        """
        call_id, tid, _, number, architecture, _, *arguments = _NOTIFICATION.unpack(self._octets)
        return call_id, tid, number, architecture, tuple(arguments)


class _Program(ctypes.Structure):
    """struct sock_fprog <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _request(direction: int, number: int, size: int) -> int:
    """Return an ioctl's number (_IOC of <asm-generic/ioctl.h>)."""
    return direction << 30 | size << 16 | ord("!") << 8 | number


_WRITE: Final = 1
_READ_WRITE: Final = 3
_NOTIF_RECV: Final = _request(_READ_WRITE, 0, NOTIFICATION_OCTETS)
_NOTIF_SEND: Final = _request(_READ_WRITE, 1, _RESPONSE.size)
_NOTIF_ID_VALID: Final = _request(_WRITE, 2, _ID.size)
_NOTIF_ADDFD: Final = _request(_WRITE, 3, _ADD_FD.size)
_NOTIF_SET_FLAGS: Final = _request(_WRITE, 4, 8)


class Nested(UsageError):
    """The process is supervised already, and the kernel allows one listener."""

    def __init__(self) -> None:
        super().__init__("a supervisor is there already, and Linux allows only one")


def stop_calls(program: Sequence[Instruction], *, killable: bool = True) -> int:
    """Filter the calls of this thread and of all that descend from it, for ever.

    Returns the listener's descriptor.  Without CAP_SYS_ADMIN it also sets no_new_privs: setuid
    programs run without their privilege.

    Args:
        killable: While a call waits for its answer only fatal signals end it, where the kernel
            can do that; others are delivered afterwards.

    Raises:
        Nested: The thread has such a filter.
        NotSupportedError: The kernel has no user notification.
    """
    flags = _NEW_LISTENER | (_WAIT_KILLABLE if killable else 0)
    try:
        try:
            return _install(program, flags)
        except OSError as error:
            if error.errno != errno.EACCES:
                raise
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1)
        return _install(program, flags)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Nested from None
        raise NotSupportedError(
            f"this kernel or container does not let calls be stopped ({error.strerror}): it takes "
            "seccomp's user notification, Linux 5.9 on x86-64 or aarch64"
        ) from None


def _install(program: Sequence[Instruction], flags: int) -> int:
    """Return a new listener.  Raises OSError."""
    number = _SECCOMP.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    code = b"".join(one.serialize() for one in program)
    memory = ctypes.create_string_buffer(code, len(code))
    prog = ctypes.byref(_Program(len(program), ctypes.addressof(memory)))
    try:
        return libc.syscall(number, _SET_MODE_FILTER, flags, prog)
    except OSError as error:
        if error.errno != errno.EINVAL or not flags & _WAIT_KILLABLE:
            raise
    return libc.syscall(number, _SET_MODE_FILTER, flags & ~_WAIT_KILLABLE, prog)


class Listener(Closing):
    """The supervisor's end of a filter; every method may be called by any thread.

    Methods raise OSError: ENOENT says that the caller was killed meanwhile.

    Args:
        fd: From `stop_calls`.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._adds_and_sends = True

    def fileno(self) -> int:
        """Return the descriptor: readable when a call waits, POLLHUP when no process is left."""
        return self._fd

    def close(self) -> None:
        """Let go; when the last copy is closed, calls that would stop fail with ENOSYS."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def take_turns(self) -> bool:
        """Ask that answering costs fewer wake-ups; return whether the kernel can."""
        try:
            ioctl(self._fd, _NOTIF_SET_FLAGS, _SYNC_WAKE_UP)
        except OSError:
            return False
        return True

    def receive(self, into: Notification) -> None:
        """Wait for a call and take it."""
        into.clear()  # the kernel insists
        libc.ioctl(self._fd, _NOTIF_RECV, into.pointer)

    def waits(self, call_id: int) -> bool:
        """Return whether the call still waits: its thread's pid cannot have been reused then."""
        try:
            ioctl(self._fd, _NOTIF_ID_VALID, _ID.pack(call_id))
        except OSError:
            return False
        return True

    def proceed(self, call_id: int) -> None:
        """Let the call happen as the program made it."""
        ioctl(self._fd, _NOTIF_SEND, _RESPONSE.pack(call_id, 0, 0, _CONTINUE))

    def result(self, call_id: int, value: int, error: int = 0) -> None:
        """Give the call a result without making it; `error` is an errno, or 0."""
        ioctl(self._fd, _NOTIF_SEND, _RESPONSE.pack(call_id, value, -error, 0))

    def hand_over(self, call_id: int, fd: int, *, close_on_exec: bool) -> None:
        """Put a copy of `fd` into the process; its number there is the call's result."""
        flags = os.O_CLOEXEC if close_on_exec else 0
        if self._adds_and_sends:
            try:
                self._add(call_id, _SEND, fd, 0, flags)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._adds_and_sends = False
            else:
                return
        self.result(call_id, self._add(call_id, 0, fd, 0, flags))

    def replace(self, call_id: int, fd: int, target: int, *, close_on_exec: bool) -> None:
        """Put a copy of `fd` into the process as its descriptor `target`; the call still waits."""
        flags = os.O_CLOEXEC if close_on_exec else 0
        self._add(call_id, _SETFD, fd, target, flags)

    def _add(self, *request: int) -> int:
        """Put a descriptor into the process and return its number there."""
        number: int = ioctl(self._fd, _NOTIF_ADDFD, bytearray(_ADD_FD.pack(*request)))
        return number
