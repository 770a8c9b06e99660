from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import UnknownNameError
from plait.linux.seccomp_filter import (
    AARCH64,
    ALLOW,
    CALLS,
    NOTIFY,
    X86_64,
    Assembler,
    Instruction,
    stopping,
)

I386 = 0x40000003
X32 = 0x40000000
"""AUDIT_ARCH_I386, and the bit that x86-64 sets for the x32 ABI."""

INET, INET6, UNIX, NETLINK = 2, 10, 1, 16
STREAM, DGRAM, RAW = 1, 2, 3
NONBLOCK, CLOEXEC = 0o4000, 0o2000000


def interpret(
    program: tuple[Instruction, ...], architecture: int, number: int, *arguments: int
) -> int:
    """Return the action of a filter, as the kernel's interpreter would."""
    words = [one & (1 << 64) - 1 for one in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0xFEED, *words)
    accumulator, position = 0, 0
    while True:
        code, yes, no, value = struct.unpack("<HBBI", program[position].serialize())
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x15:
            position += yes if accumulator == value else no
        else:
            assert code == 0x06
            return int(value)


SOCKETS = {
    "IPv4": ((INET, STREAM, 0), NOTIFY),
    "IPv6": ((INET6, STREAM, 0), NOTIFY),
    "TCP by its number": ((INET, STREAM, 6), NOTIFY),
    "flags": ((INET6, STREAM | NONBLOCK | CLOEXEC, 6), NOTIFY),
    "the upper half of a word means nothing": ((1 << 32 | INET, 1 << 40 | STREAM, 0), NOTIFY),
    "UDP": ((INET, DGRAM, 0), ALLOW),
    "UDP by its number": ((INET, DGRAM | CLOEXEC, 17), ALLOW),
    "raw": ((INET, RAW, 6), ALLOW),
    "Multipath TCP": ((INET, STREAM, 262), ALLOW),
    "SCTP": ((INET6, STREAM, 132), ALLOW),
    "a Unix stream": ((UNIX, STREAM, 0), ALLOW),
    "netlink": ((NETLINK, RAW, 0), ALLOW),
}


@pytest.mark.parametrize("architecture", [X86_64, AARCH64])
@pytest.mark.parametrize(("arguments", "action"), SOCKETS.values(), ids=SOCKETS.keys())
def test_of_socket_only_tcp_stops(
    architecture: int, arguments: tuple[int, ...], action: int
) -> None:
    program = stopping(["socket"])
    assert interpret(program, architecture, CALLS["socket"][architecture], *arguments) == action


@pytest.mark.parametrize("architecture", [X86_64, AARCH64])
def test_what_was_asked_for_stops_and_nothing_else(architecture: int) -> None:
    program = stopping(["connect", "accept4", "socket"])
    numbers = {CALLS[name][architecture] for name in ("connect", "accept4")}
    for number in range(512):
        stops = interpret(program, architecture, number, UNIX, STREAM) == NOTIFY
        assert stops == (number in numbers)


@pytest.mark.parametrize("architecture", [I386, AARCH64 ^ 0x40000000, 0])
def test_other_architectures_are_let_through(architecture: int) -> None:
    program = stopping(CALLS)
    for number in range(512):
        assert interpret(program, architecture, number, INET, STREAM) == ALLOW


def test_the_x32_abi_is_let_through() -> None:
    assert interpret(stopping(CALLS), X86_64, X32 | 41, INET, STREAM) == ALLOW


@given(
    names=st.sets(st.sampled_from(sorted(CALLS))),
    architecture=st.sampled_from([X86_64, AARCH64, I386]),
    number=st.integers(0, 600),
    arguments=st.tuples(*[st.integers(0, (1 << 64) - 1)] * 3),
)
def test_the_program_does_what_the_rule_says(
    names: set[str], architecture: int, number: int, arguments: tuple[int, int, int]
) -> None:
    name = next((one for one in names if CALLS[one].get(architecture) == number), None)
    family, kind, protocol = (word & 0xFFFFFFFF for word in arguments)
    stream = family in {INET, INET6} and kind & 0xF == STREAM and protocol in {0, 6}
    stops = name is not None and (name != "socket" or stream)
    action = NOTIFY if stops else ALLOW
    assert interpret(stopping(names), architecture, number, *arguments) == action


def test_jumps_skip_what_lies_between() -> None:
    assembler = Assembler()
    assembler.load(0)
    assembler.jump_if(7, "seven")
    assembler.answer(1)
    assembler.mark("seven")
    assembler.answer(2)
    assert assembler.assemble() == (
        Instruction(0x20, 0),
        Instruction(0x15, 7, yes=1),
        Instruction(0x06, 1),
        Instruction(0x06, 2),
    )


def test_an_unknown_call_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="open"):
        stopping(["open"])


def test_the_call_that_brings_the_listener_cannot_be_stopped() -> None:
    assert "sendmsg" not in CALLS
