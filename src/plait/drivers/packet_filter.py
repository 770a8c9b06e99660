"""What the kernel hands to a packet driver: a program of the classic BPF.

Python sees the frames that concern the stack and no others: TCP and ICMP for its addresses, ARP and
neighbor discovery about them.  All else the kernel passes by at a cost of some 50 ns.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

from plait.addresses import IpAddress
from plait.wire import ethernet, icmp, ndp, tcp

Instruction: TypeAlias = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand; linux/filter.h."""

# linux/bpf_common.h: class, size and mode, or operation.
LOAD: Final = 0x20
LOAD_HALF: Final = 0x28
LOAD_BYTE: Final = 0x30
LOAD_HALF_INDEXED: Final = 0x48
LOAD_IP_LENGTH: Final = 0xB1
"""X becomes the length of the IPv4 header at the operand."""

JUMP: Final = 0x05
JUMP_EQUAL: Final = 0x15
JUMP_GREATER: Final = 0x25
JUMP_NOT_LESS: Final = 0x35
JUMP_SET: Final = 0x45
RETURN: Final = 0x06

PACKET_TYPE: Final = 0xFFFFF004
VLAN_PRESENT: Final = 0xFFFFF030
"""Offsets that stand for facts about the frame (SKF_AD_OFF)."""

_MULTICAST: Final = 2
"""PACKET_MULTICAST; above it are frames for other stations, and our own."""

_WHOLE: Final = 0xFFFF_FFFF
_ACCEPT: Final[Instruction] = (RETURN, 0, 0, _WHOLE)
_REJECT: Final[Instruction] = (RETURN, 0, 0, 0)
_FRAGMENT_OFFSET: Final = 0x1FFF

_IP: Final = ethernet.HEADER_OCTETS
_KIND: Final = 12
_ARP_SENDER: Final = _IP + 14
_ARP_TARGET: Final = _IP + 24
_V4_FRAGMENT: Final = _IP + 6
_V4_PROTOCOL: Final = _IP + 9
_V4_DESTINATION: Final = _IP + 16
_V6_PROTOCOL: Final = _IP + 6
_V6_DESTINATION: Final = _IP + 24
_V6_PAYLOAD: Final = _IP + 40
_DESTINATION_PORT: Final = 2

_FORM: Final = struct.Struct("=HBBI")
_PROGRAM: Final = struct.Struct("@HP")


def frame_filter(addresses: Sequence[IpAddress], ports: range | None) -> list[Instruction]:
    """Return the program that accepts what concerns a stack.

    Args:
        addresses: Of the stack.
        ports: Its local ports, if it has the addresses together with the kernel.
    """
    v4 = [address.packed for address in addresses if address.version == 4]
    v6 = [address.packed for address in addresses if address.version == 6]
    program: list[Instruction] = [
        (LOAD, 0, 0, VLAN_PRESENT),
        (JUMP_EQUAL, 1, 0, 0),
        _REJECT,
        (LOAD, 0, 0, PACKET_TYPE),
        (JUMP_GREATER, 0, 1, _MULTICAST),
        _REJECT,
        (LOAD_HALF, 0, 0, _KIND),
    ]
    program += _case(ethernet.ARP, _arp(v4))
    program += _case(ethernet.IPV4, _ipv4(v4, ports))
    program += _case(ethernet.IPV6, _ipv6(v6, ports))
    return [*program, _REJECT]


def serialize(program: Sequence[Instruction]) -> bytes:
    """Return a program as `struct sock_filter`."""
    return b"".join(_FORM.pack(*instruction) for instruction in program)


def program_option(memory: ctypes.Array[ctypes.c_char]) -> bytes:
    """Return a `struct sock_fprog`, valid as long as the memory with the program is kept."""
    return _PROGRAM.pack(len(memory) // _FORM.size, ctypes.addressof(memory))


def _case(value: int, block: Sequence[Instruction]) -> list[Instruction]:
    """Return `block`, which ends by returning, for when the accumulator has a value."""
    return [(JUMP_EQUAL, 1, 0, value), (JUMP, 0, 0, len(block)), *block]


def _arp(addresses: Sequence[bytes]) -> list[Instruction]:
    """Accept what asks for an address, and what claims it."""
    return [*_word_in(_ARP_TARGET, addresses), *_word_in(_ARP_SENDER, addresses), _REJECT]


def _ipv4(addresses: Sequence[bytes], ports: range | None) -> list[Instruction]:
    ours = _word_in(_V4_DESTINATION, addresses)
    program: list[Instruction] = [(LOAD_BYTE, 0, 0, _V4_PROTOCOL)]
    program += _case(icmp.PROTOCOL, [*ours, _REJECT])
    to_ports: list[Instruction] = []
    if ports is not None:
        to_ports = [
            (LOAD_HALF, 0, 0, _V4_FRAGMENT),
            (JUMP_SET, 0, 1, _FRAGMENT_OFFSET),
            _REJECT,
            (LOAD_IP_LENGTH, 0, 0, _IP),
            (LOAD_HALF_INDEXED, 0, 0, _IP + _DESTINATION_PORT),
            *_within(ports),
        ]
    return [*program, *_case(tcp.PROTOCOL, [*to_ports, *ours, _REJECT]), _REJECT]


def _ipv6(addresses: Sequence[bytes], ports: range | None) -> list[Instruction]:
    groups = dict.fromkeys(ndp.solicited_node(address) for address in addresses)
    ours = _address_in(addresses)
    program: list[Instruction] = [(LOAD_BYTE, 0, 0, _V6_PROTOCOL)]
    heard = [*ours, *_address_in([*groups, *([ndp.ALL_NODES] if addresses else [])]), _REJECT]
    program += _case(icmp.PROTOCOL_V6, heard)
    to_ports: list[Instruction] = []
    if ports is not None:
        to_ports = [(LOAD_HALF, 0, 0, _V6_PAYLOAD + _DESTINATION_PORT), *_within(ports)]
    return [*program, *_case(tcp.PROTOCOL, [*to_ports, *ours, _REJECT]), _REJECT]


def _within(ports: range) -> list[Instruction]:
    """Reject unless the accumulator is one of the ports."""
    return [
        (JUMP_NOT_LESS, 0, 1, ports.start),
        (JUMP_GREATER, 0, 1, ports.stop - 1),
        _REJECT,
    ]


def _word_in(at: int, values: Sequence[bytes]) -> list[Instruction]:
    """Accept if the word at an offset is one of the values."""
    program: list[Instruction] = [(LOAD, 0, 0, at)]
    for value in values:
        program += [(JUMP_EQUAL, 0, 1, int.from_bytes(value, "big")), _ACCEPT]
    return program


def _address_in(values: Sequence[bytes]) -> list[Instruction]:
    """Accept if the destination is one of the IPv6 addresses."""
    program: list[Instruction] = []
    for value in values:
        for word in range(4):
            part = int.from_bytes(value[4 * word : 4 * word + 4], "big")
            left = 2 * (3 - word) + 1  # what is left of this comparison
            program += [(LOAD, 0, 0, _V6_DESTINATION + 4 * word), (JUMP_EQUAL, 0, left, part)]
        program.append(_ACCEPT)
    return program
