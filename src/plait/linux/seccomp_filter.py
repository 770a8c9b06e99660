"""Filters that stop chosen system calls for a supervisor, assembled from their names.

A filter is a program of classic BPF over `struct seccomp_data` <linux/seccomp.h>.  Ours allows
everything but the calls it is made for, on the architectures it knows; what comes by another one,
a 32-bit program on a 64-bit kernel for example, is allowed.  Of `socket` only TCP streams stop.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from plait.errors import check_name

ALLOW: Final = 0x7FFF0000
"""SECCOMP_RET_ALLOW <linux/seccomp.h>."""

NOTIFY: Final = 0x7FC00000
"""SECCOMP_RET_USER_NOTIF <linux/seccomp.h>."""

X86_64: Final = 0xC000003E
"""AUDIT_ARCH_X86_64 <linux/audit.h>."""

AARCH64: Final = 0xC00000B7
"""AUDIT_ARCH_AARCH64 <linux/audit.h>."""

CALLS: Final[dict[str, dict[int, int]]] = {
    name: {X86_64: x86_64, AARCH64: aarch64}
    for name, x86_64, aarch64 in (
        ("close", 3, 57),
        ("socket", 41, 198),
        ("connect", 42, 203),
        ("accept", 43, 202),
        ("sendto", 44, 206),
        ("shutdown", 48, 210),
        ("bind", 49, 200),
        ("listen", 50, 201),
        ("getsockname", 51, 204),
        ("getpeername", 52, 205),
        ("setsockopt", 54, 208),
        ("getsockopt", 55, 209),
        ("accept4", 288, 242),
    )
}
"""Calls that can be stopped: <asm/unistd_64.h> for x86-64, <asm-generic/unistd.h> for aarch64.

`sendmsg` is not among them: by it the listener reaches the supervisor.
"""

SOCK_TYPE_MASK: Final = 0xF
"""<linux/net.h>: the rest of the argument `type` are flags."""

_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16
"""Offsets in `struct seccomp_data` <linux/seccomp.h>; both architectures are little-endian."""

_LOAD: Final = 0x20
_KEEP: Final = 0x54
_EQUAL: Final = 0x15
_RETURN: Final = 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND|BPF_K, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
<linux/bpf_common.h>."""

_INSTRUCTION: Final = struct.Struct("=HBBI")
"""struct sock_filter <linux/filter.h>."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `yes` and `no` count those to skip after a comparison."""

    code: int
    value: int
    yes: int = 0
    no: int = 0

    def serialize(self) -> bytes:
        """Return the eight octets that the kernel wants."""
        return _INSTRUCTION.pack(self.code, self.yes, self.no, self.value)


class Assembler:
    """Collects instructions that jump forward to labels."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, str | None]] = []
        self._labels: dict[str, int] = {}

    def load(self, offset: int) -> None:
        """Take the 32 bits at this offset of the call's data."""
        self._lines.append((_LOAD, offset, None))

    def keep(self, mask: int) -> None:
        """Clear all bits but these."""
        self._lines.append((_KEEP, mask, None))

    def jump_if(self, value: int, label: str) -> None:
        """Go to the label if the value was loaded; else go on."""
        self._lines.append((_EQUAL, value, label))

    def answer(self, action: int) -> None:
        """End with an action."""
        self._lines.append((_RETURN, action, None))

    def mark(self, label: str) -> None:
        """Put a label before the next instruction."""
        self._labels[label] = len(self._lines)

    def assemble(self) -> tuple[Instruction, ...]:
        """Return the program."""
        return tuple(
            Instruction(code, value, 0 if label is None else self._labels[label] - position - 1)
            for position, (code, value, label) in enumerate(self._lines)
        )


def stopping(calls: Iterable[str]) -> tuple[Instruction, ...]:
    """Return the filter that stops these calls.  Raises UnknownNameError."""
    names = sorted(set(calls))
    for name in names:
        check_name("system call", name, sorted(CALLS))
    filter_ = Assembler()
    filter_.load(_ARCHITECTURE)
    for architecture in (X86_64, AARCH64):
        filter_.jump_if(architecture, f"architecture {architecture}")
    filter_.answer(ALLOW)
    for architecture in (X86_64, AARCH64):
        filter_.mark(f"architecture {architecture}")
        filter_.load(_NUMBER)
        for name in names:
            filter_.jump_if(CALLS[name][architecture], "socket" if name == "socket" else "notify")
        filter_.answer(ALLOW)
    if "socket" in names:
        _stop_streams(filter_)
    filter_.mark("notify")
    filter_.answer(NOTIFY)
    return filter_.assemble()


def _stop_streams(filter_: Assembler) -> None:
    """Go to `notify` if the arguments of `socket` ask for TCP."""
    filter_.mark("socket")
    filter_.load(_ARGUMENTS)
    filter_.jump_if(socket.AF_INET, "internet")
    filter_.jump_if(socket.AF_INET6, "internet")
    filter_.answer(ALLOW)
    filter_.mark("internet")
    filter_.load(_ARGUMENTS + 8)
    filter_.keep(SOCK_TYPE_MASK)
    filter_.jump_if(socket.SOCK_STREAM, "stream")
    filter_.answer(ALLOW)
    filter_.mark("stream")
    filter_.load(_ARGUMENTS + 16)
    filter_.jump_if(0, "notify")
    filter_.jump_if(socket.IPPROTO_TCP, "notify")
    filter_.answer(ALLOW)
