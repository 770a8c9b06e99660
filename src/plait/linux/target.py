"""What a supervisor can learn of a thread whose call is stopped, and make in its stead."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from functools import cache
from pathlib import Path
from typing import Final

from plait.errors import PrivilegeError
from plait.linux import libc
from plait.linux.sockaddr import Destination, parse_sockaddr
from plait.linux.threads import in_thread

_PIDFD_GETFD: Final = 438
"""__NR_pidfd_getfd, the same everywhere <asm-generic/unistd.h>."""

_PIDFD_THREAD: Final = os.O_EXCL
"""<linux/pidfd.h>, Linux 6.9: a descriptor of the thread, whose files may be its own."""

_SOCKADDR_OCTETS: Final = 128
"""struct sockaddr_storage <bits/socket.h>: no address is longer."""

_FILE_OWNER: Final = 3
"""Last in the lines Uid and Gid of /proc/PID/status: the id for files (proc(5))."""

_STATUS_OCTETS: Final = 512
"""Enough of it for these lines."""


class Stranger(OSError):
    """The target lives where the supervisor can make no socket; the message says where."""


class Target:
    """A thread with a stopped call; what is read of it holds while the call waits.

    Methods raise OSError when it has ended, or is not ours to look at.
    """

    __slots__ = ("tid",)

    def __init__(self, tid: int) -> None:
        self.tid = tid

    def program(self) -> str:
        """Return the name of its program, `?` when it has ended."""
        try:
            return Path(f"/proc/{self.tid}/comm").read_text("utf-8", "replace").rstrip("\n")
        except OSError:
            return "?"

    def process(self) -> int:
        """Return the id of its process."""
        return self._status(b"\nTgid:")[0][0]

    def file_owner(self) -> tuple[int, int]:
        """Return the user and group that what it makes belongs to."""
        lines = self._status(b"\nUid:", b"\nGid:")
        return lines[0][_FILE_OWNER], lines[1][_FILE_OWNER]

    def network_namespace(self) -> tuple[int, int]:
        """Return what identifies its network namespace."""
        found = os.stat(f"/proc/{self.tid}/ns/net")  # noqa: PTH116  5 us, a Path adds 3
        return found.st_dev, found.st_ino

    def read(self, address: int, octets: int) -> bytes:
        """Return some of its memory."""
        return libc.read_memory(self.tid, address, octets)

    def write(self, address: int, data: bytes) -> None:
        """Change some of its memory."""
        libc.write_memory(self.tid, address, data)

    def destination(self, address: int, octets: int) -> Destination | None:
        """Return the IP address and port of a socket address in its memory, None if of no IP."""
        return parse_sockaddr(self.read(address, min(octets, _SOCKADDR_OCTETS)))

    def copy_socket(self, fd: int) -> socket.socket:
        """Return a copy of one of its sockets."""
        copy = self.duplicate(fd)
        try:
            return socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            raise

    def duplicate(self, fd: int) -> int:
        """Return a copy of one of its descriptors, closed on exec."""
        try:
            handle = os.pidfd_open(self.tid, _PIDFD_THREAD)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            handle = os.pidfd_open(self.process())
        try:
            return libc.syscall(_PIDFD_GETFD, handle, fd, 0)
        finally:
            os.close(handle)

    def closes_on_exec(self, fd: int) -> bool:
        """Return whether a descriptor of it has the flag O_CLOEXEC (proc(5), fdinfo)."""
        text = Path(f"/proc/{self.tid}/fdinfo/{fd}").read_bytes()
        flags = next(line for line in text.splitlines() if line.startswith(b"flags:"))
        return bool(int(flags.split()[1], 8) & os.O_CLOEXEC)

    def make_socket(self, family: int, kind: int, protocol: int) -> socket.socket:
        """Make a socket as if it had: in its network namespace, owned by its user.

        Args:
            kind: Type and flags, as in socket(2).

        Raises:
            Stranger: The supervisor may not enter the namespace.
            OSError: As socket(2).
        """
        try:
            abroad = self.network_namespace() != _namespace_of(os.getpid())
        except PermissionError:
            raise Stranger(errno.EACCES, "it hides its network namespace") from None
        if not abroad:
            return self._make_owned(family, kind, protocol)
        return self._make_abroad(family, kind, protocol)

    def _make_owned(self, family: int, kind: int, protocol: int) -> socket.socket:
        """Make a socket in the calling thread's namespace for the target's user."""
        if os.geteuid() != 0:
            return socket.socket(family, kind, protocol)
        uid, gid = self.file_owner()
        if uid == 0 == gid:
            return socket.socket(family, kind, protocol)
        before = libc.set_file_owner(uid, gid)
        try:
            return socket.socket(family, kind, protocol)
        finally:
            libc.set_file_owner(*before)

    def _make_abroad(self, family: int, kind: int, protocol: int) -> socket.socket:
        """Make a socket in a thread that enters the target's network namespace, then ends."""

        def make() -> socket.socket:
            namespace = os.open(f"/proc/{self.tid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                libc.setns(namespace, libc.CLONE_NEWNET)
            except PermissionError:
                raise Stranger(
                    errno.EPERM, "it is in a network namespace that takes root to enter"
                ) from None
            finally:
                os.close(namespace)
            return self._make_owned(family, kind, protocol)

        return in_thread(make)

    def _status(self, *fields: bytes) -> list[list[int]]:
        """Return the numbers in lines of /proc/TID/status that are near its beginning."""
        fd = os.open(f"/proc/{self.tid}/status", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, _STATUS_OCTETS)
        finally:
            os.close(fd)
        begins = [text.index(field) + len(field) for field in fields]
        return [
            [int(word) for word in text[begin : text.index(b"\n", begin)].split()]
            for begin in begins
        ]


def check_sight(forked: Target, fd: int) -> None:
    """Raise PrivilegeError unless we may look into programs that run as ours do.

    Args:
        forked: A process that this one was forked from, or the other way round, so that what lies
            at an address here lies there too.
        fd: One of its descriptors.
    """
    anything = ctypes.create_string_buffer(1)
    try:
        forked.read(ctypes.addressof(anything), 1)
        os.close(forked.duplicate(fd))
    except OSError as error:
        raise PrivilegeError(
            f"this machine does not let one program look where another connects ({error.strerror}):"
            " run as root, or `sysctl kernel.yama.ptrace_scope=0`"
        ) from None


@cache
def _namespace_of(pid: int) -> tuple[int, int]:
    """Return what identifies the network namespace of a process that never changes it: us."""
    return Target(pid).network_namespace()
