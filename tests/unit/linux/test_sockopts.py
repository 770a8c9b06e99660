from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_interface

import pytest

from plait.linux import sockopts
from plait.linux.mptcp_sockets import connect, listen
from plait.linux.netns import Namespace, can_make_namespaces, veth_pair
from plait.linux.path_manager import SUBFLOW
from plait.linux.sockaddr import parse_sockaddr
from plait.linux.socket_options import SocketOptions
from plait.linux.sockopts import connection_info, is_mptcp, mptcp_info

privileged = pytest.mark.privileged
needs_root = pytest.mark.skipif(
    not can_make_namespaces(), reason="making network namespaces needs root"
)

MPTCP = SocketOptions()
TCP = SocketOptions(mptcp=False)
FAR = (socket.AF_INET, ("10.9.1.2", 5001))

ADDRESSES = {
    "IPv4": (struct.pack("=H", socket.AF_INET) + bytes.fromhex("1389 0a090102"), "10.9.1.2"),
    "IPv6": (
        struct.pack("=H", socket.AF_INET6)
        + bytes.fromhex("1389 00000000 fd09")
        + bytes(13)
        + b"\2",
        "fd09::2",
    ),
    "IPv4 in IPv6": (
        struct.pack("=H", socket.AF_INET6)
        + bytes.fromhex("1389 00000000")
        + bytes(10)
        + bytes.fromhex("ffff 0a090102"),
        "10.9.1.2",
    ),
}


@pytest.mark.parametrize(("octets", "address"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_socket_addresses(octets: bytes, address: str) -> None:
    assert parse_sockaddr(octets.ljust(128, b"\0")) == (ip_address(address), 5001)


STRIDES = {
    "as today": (sockopts._SUBFLOW_SIZE, 280),
    "an older kernel": (sockopts._SUBFLOW_SIZE, 192),
    "a newer kernel": (sockopts._SUBFLOW_SIZE + 16, 320),
}


@pytest.mark.parametrize(("subflow_size", "tcp_size"), STRIDES.values(), ids=STRIDES.keys())
def test_subflows_are_found_by_the_strides_that_the_kernel_returns(
    subflow_size: int, tcp_size: int
) -> None:
    elements, states = b"", b""
    for number, (octets, _) in enumerate(ADDRESSES.values(), start=1):
        ends = octets.ljust(128, b"\0") * 2
        elements += (struct.pack("=I4x", number) + ends).ljust(subflow_size, b"\0")
        states += bytes([number]).ljust(tcp_size, b"\0")
    elements += struct.pack("=I4x", 9).ljust(subflow_size, b"\0")  # it has closed: no port
    answer = sockopts._FULL.pack(280, tcp_size, 264, subflow_size, 4, 64, 0, 0)
    full = sockopts.Full(answer, elements, states + bytes(tcp_size))
    found = sockopts.parse_full_info(full)
    assert [(at, str(path.local), len(state)) for at, path, state in found] == [
        (at, address, tcp_size) for at, (_, address) in enumerate(ADDRESSES.values(), start=1)
    ]
    assert [state[0] for *_, state in found] == [1, 2, 3]


@pytest.fixture
def namespaces() -> Iterator[tuple[Namespace, Namespace]]:
    with Namespace() as near, Namespace() as far:
        for at in (1, 2):
            veth_pair(near, f"va{at}", far, f"vb{at}")
            near.add_address(f"va{at}", ip_interface(f"10.9.{at}.1/24"))
            far.add_address(f"vb{at}", ip_interface(f"10.9.{at}.2/24"))
        near.add_mptcp_endpoint(ip_address("10.9.2.1"), 3, SUBFLOW)
        for namespace in (near, far):
            namespace.set_mptcp_limits(subflows=8, add_addr_accepted=8)
        yield near, far


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


@privileged
@needs_root
def test_a_connection_over_two_paths(namespaces: tuple[Namespace, Namespace]) -> None:
    near, far = namespaces
    with (
        far.run(lambda: listen(None, 5001, MPTCP)) as listener,
        near.run(lambda: asyncio.run(connect(*FAR, MPTCP)))[0] as here,
        listener.accept()[0] as there,
    ):
        here.send(b"x" * 1000)
        assert len(there.recv(1000, socket.MSG_WAITALL)) == 1000
        assert until(lambda: len(connection_info(there).subflows) == 2)
        assert until(lambda: connection_info(here).bytes_sent == 1000)
        mine, other = connection_info(here), connection_info(there)
        assert mine.is_mptcp
        assert (mine.version, mine.csum_enabled, mine.fallback_reason) == (1, False, None)
        assert other.bytes_received == 1000
        assert mine.token not in {None, other.token}
        paths = {(str(s.path.local), str(s.path.remote), s.path.remote_port) for s in mine.subflows}
        assert paths == {("10.9.1.1", "10.9.1.2", 5001), ("10.9.2.1", "10.9.1.2", 5001)}
        assert {s.path.flow_out() for s in mine.subflows} == {
            s.path.flow_in() for s in other.subflows
        }
        assert (mine.subflows_total, mine.extra_subflows, mine.subflows_max) == (2, 1, 8)
        assert (mine.local_addr_used, other.local_addr_used) == (1, 0)
        assert mine.remote_key_received
        assert (mine.write_seq, mine.snd_una) == (other.rcv_nxt, other.rcv_nxt)
        assert mine.bytes_acked == 1000
        assert other.last_data_recv < 5000
        assert all(s.tcp.state == "ESTABLISHED" and s.tcp.snd_cwnd > 0 for s in mine.subflows)
        assert any(s.tcp.rtt > 0 and s.tcp.bytes_sent == 1000 for s in mine.subflows)


@privileged
@needs_root
@pytest.mark.parametrize("plain_side", ["listener", "initiator"])
def test_a_plain_tcp_peer_leaves_plain_tcp(
    namespaces: tuple[Namespace, Namespace], plain_side: str
) -> None:
    near, far = namespaces
    options = (TCP, MPTCP) if plain_side == "listener" else (MPTCP, TCP)
    with (
        far.run(lambda: listen(None, 5001, options[0])) as listener,
        near.run(lambda: asyncio.run(connect(*FAR, options[1])))[0] as here,
        listener.accept()[0] as there,
    ):
        here.send(b"x" * 1000)
        assert len(there.recv(1000, socket.MSG_WAITALL)) == 1000
        for sock, local in ((here, "10.9.1.1"), (there, "10.9.1.2")):
            info = connection_info(sock)
            assert not is_mptcp(sock)
            assert mptcp_info(sock) is None
            assert (info.is_mptcp, info.version, info.token) == (False, None, None)
            assert info.fallback_reason
            assert info.subflows_total == 1
            assert [str(s.path.local) for s in info.subflows] == [local]
        assert connection_info(there).bytes_received == 1000
