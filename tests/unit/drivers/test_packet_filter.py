from __future__ import annotations

import ctypes
import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers import packet_filter
from plait.drivers.packet_filter import Instruction, frame_filter, serialize
from plait.wire import arp, ndp
from plait.wire.ethernet import ARP, IPV4, IPV6, ethernet_header
from plait.wire.ipv4 import ipv4_header
from plait.wire.ipv6 import ipv6_header

MAC = bytes.fromhex("02005e100001")
OURS, SECOND, PEER = (ip_address(text) for text in ("10.0.0.1", "10.0.0.9", "10.0.0.2"))
OURS6, PEER6 = (ip_address(text) for text in ("2001:db8::1:2", "2001:db8::3:4"))
ADDRESSES = (OURS, SECOND, OURS6)
PORTS = range(61_000, 61_100)
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58


def accepts(program: list[Instruction], frame: bytes, kind: int = 0, vlan: int = 0) -> bool:
    """Run a program as the kernel does: reading past the end rejects."""
    at = accumulator = index = 0
    facts = {packet_filter.PACKET_TYPE: kind, packet_filter.VLAN_PRESENT: vlan}
    while True:
        code, yes, no, operand = program[at]
        at += 1
        if code == packet_filter.RETURN:
            return operand != 0
        if code == packet_filter.JUMP:
            at += operand
        elif code & 0x07 == packet_filter.JUMP:
            hit = {
                packet_filter.JUMP_EQUAL: accumulator == operand,
                packet_filter.JUMP_GREATER: accumulator > operand,
                packet_filter.JUMP_NOT_LESS: accumulator >= operand,
                packet_filter.JUMP_SET: accumulator & operand != 0,
            }[code]
            at += yes if hit else no
        elif code == packet_filter.LOAD_IP_LENGTH:
            index = 4 * (frame[operand] & 15)
        elif operand in facts:
            accumulator = facts[operand]
        else:
            start = operand + (index if code == packet_filter.LOAD_HALF_INDEXED else 0)
            size = {
                packet_filter.LOAD: 4,
                packet_filter.LOAD_HALF: 2,
                packet_filter.LOAD_BYTE: 1,
                packet_filter.LOAD_HALF_INDEXED: 2,
            }[code]
            if start + size > len(frame):
                return False
            accumulator = int.from_bytes(frame[start : start + size], "big")


def v4(to: object, protocol: int, port: int = 61_000) -> bytes:
    addresses = PEER.packed + ip_address(str(to)).packed
    return (
        ethernet_header(MAC, MAC, IPV4)
        + ipv4_header(addresses, 20, protocol, 0)
        + (5001).to_bytes(2, "big")
        + port.to_bytes(2, "big")
        + bytes(16)
    )


def v6(to: object, protocol: int, port: int = 61_000) -> bytes:
    addresses = PEER6.packed + ip_address(str(to)).packed
    return (
        ethernet_header(MAC, MAC, IPV6)
        + ipv6_header(addresses, 20, protocol, 0)
        + (5001).to_bytes(2, "big")
        + port.to_bytes(2, "big")
        + bytes(16)
    )


def about(sender: object, target: object) -> bytes:
    asked = arp.request(MAC, ip_address(str(sender)).packed, ip_address(str(target)).packed)
    return ethernet_header(MAC, MAC, ARP) + asked.serialize()


FRAMES = {
    "TCP": (v4(OURS, TCP), True),
    "TCP to another of ours": (v4(SECOND, TCP), True),
    "TCP to others": (v4(PEER, TCP), False),
    "UDP": (v4(OURS, UDP), False),
    "ICMP": (v4(OURS, ICMP), True),
    "ICMP to others": (v4(PEER, ICMP), False),
    "IPv6 TCP": (v6(OURS6, TCP), True),
    "IPv6 TCP to others": (v6(PEER6, TCP), False),
    "IPv6 TCP to all": (v6("ff02::1", TCP), False),
    "IPv6 UDP": (v6(OURS6, UDP), False),
    "ICMPv6": (v6(OURS6, ICMP6), True),
    "solicitation": (v6(ip_address(ndp.solicited_node(OURS6.packed)), ICMP6), True),
    "solicitation of others": (v6(ip_address(ndp.solicited_node(PEER6.packed)), ICMP6), False),
    "advertisement to all": (v6("ff02::1", ICMP6), True),
    "ARP for us": (about(PEER, OURS), True),
    "ARP from who claims to be us": (about(OURS, PEER), True),
    "ARP for others": (about(PEER, "10.0.0.3"), False),
    "another protocol": (ethernet_header(MAC, MAC, 0x88CC) + bytes(46), False),
    "nothing": (b"", False),
}


@pytest.mark.parametrize(("frame", "wanted"), FRAMES.values(), ids=FRAMES.keys())
def test_what_concerns_the_stack_and_nothing_else_passes(frame: bytes, wanted: bool) -> None:
    assert accepts(frame_filter(ADDRESSES, None), frame) is wanted


@pytest.mark.parametrize("kind", [3, 4], ids=["for another station", "our own"])
def test_frames_that_were_not_sent_to_us_do_not_pass(kind: int) -> None:
    assert not accepts(frame_filter(ADDRESSES, None), v4(OURS, TCP), kind)


def test_frames_of_a_virtual_lan_do_not_pass() -> None:
    assert not accepts(frame_filter(ADDRESSES, None), v4(OURS, TCP), vlan=1)


@pytest.mark.parametrize("make", [v4, v6])
@given(port=st.one_of(st.integers(0, 65_535), st.integers(60_990, 61_110)))
def test_of_shared_addresses_only_the_ports_of_the_stack_pass(make: object, port: int) -> None:
    assert callable(make)
    frame = make(OURS if make is v4 else OURS6, TCP, port)
    assert accepts(frame_filter(ADDRESSES, PORTS), frame) is (port in PORTS)


def test_the_port_is_found_behind_ip_options() -> None:
    frame = bytearray(v4(OURS, TCP, 61_000))
    frame[14] = 0x46  # one word of options: what was the port is 4 octets further
    shifted = bytes(frame[:34]) + bytes(4) + bytes(frame[34:])
    assert accepts(frame_filter(ADDRESSES, PORTS), shifted)
    assert not accepts(frame_filter(ADDRESSES, PORTS), bytes(frame))


@given(st.binary(max_size=120), st.sampled_from([None, PORTS]))
def test_every_frame_has_an_end(frame: bytes, ports: range | None) -> None:
    accepts(frame_filter(ADDRESSES, ports), frame)


def test_the_kernel_takes_the_program() -> None:
    octets = serialize(frame_filter(ADDRESSES * 40, PORTS))
    memory = ctypes.create_string_buffer(octets, len(octets))
    packed = packet_filter.program_option(memory)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        any_socket.setsockopt(socket.SOL_SOCKET, 26, packed)
