from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from plait.errors import UsageError
from plait.linux.families import IPPROTO_MPTCP
from plait.linux.mptcp_sockets import make_socket
from plait.linux.netns import Namespace, can_make_namespaces
from plait.linux.refusals import REFUSED, refusal
from plait.linux.socket_options import SocketOptions, Wish
from plait.linux.swapping import swap_for_tcp

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]

REFUSALS = {errno.ENOPROTOOPT, errno.EOPNOTSUPP}

KINDS = {socket.IPPROTO_TCP: "TCP_", socket.SOL_SOCKET: "SO_", socket.IPPROTO_IP: "IP_"}

NOT_STREAM = {
    *("SO_VM_SOCKETS_BUFFER_SIZE", "SO_LOCK_FILTER", "IP_MAX_MEMBERSHIPS", "IP_RECVRETOPTS"),
    *(
        "IP_ADD_MEMBERSHIP",
        "IP_DROP_MEMBERSHIP",
        "IP_ADD_SOURCE_MEMBERSHIP",
        "IP_DROP_SOURCE_MEMBERSHIP",
        "IP_BLOCK_SOURCE",
        "IP_UNBLOCK_SOURCE",
        "IP_MULTICAST_IF",
        "IP_MULTICAST_TTL",
        "IP_MULTICAST_LOOP",
        "IP_HDRINCL",
    ),
}
"""Names that mean nothing to stream sockets, or another option."""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


def refused(protocol: int, level: int, option: int) -> bool:
    """Return whether the kernel lets nobody set an option, whatever the value."""
    family = socket.AF_INET6 if level == socket.IPPROTO_IPV6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, protocol) as sock:
        try:
            sock.setsockopt(level, option, 1)
        except OSError as error:
            return error.errno in REFUSALS
        return False


def test_every_option_of_the_table_is_refused_by_multipath_tcp(namespace: Namespace) -> None:
    def taken() -> set[str]:
        return {name for key, name in REFUSED.items() if not refused(IPPROTO_MPTCP, *key)}

    assert namespace.run(taken) == set()


def test_no_option_is_missing_from_the_table(namespace: Namespace) -> None:
    def missing() -> set[str]:
        return {
            name
            for level, prefix in KINDS.items()
            for name in dir(socket)
            if name.startswith(prefix) and name not in NOT_STREAM
            if (level, getattr(socket, name)) not in REFUSED
            if refused(IPPROTO_MPTCP, level, getattr(socket, name))
            and not refused(socket.IPPROTO_TCP, level, getattr(socket, name))
        }

    assert namespace.run(missing) == set()


def test_a_refusal_names_the_option_and_other_options_need_nothing() -> None:
    assert refusal(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == (
        "TCP_USER_TIMEOUT needs TCP: the kernel's Multipath TCP refuses it"
    )
    assert refusal(socket.IPPROTO_TCP, socket.TCP_NODELAY) is None


QUICKACK: Wish = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
KEEPIDLE: Wish = (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)

WISHES = {
    "none": ((), IPPROTO_MPTCP),
    "one that is taken": ((KEEPIDLE,), IPPROTO_MPTCP),
    "one that is refused": ((KEEPIDLE, QUICKACK), socket.IPPROTO_TCP),
}


@pytest.mark.parametrize(("wishes", "protocol"), WISHES.values(), ids=WISHES.keys())
def test_a_socket_is_made_for_its_options(
    namespace: Namespace, wishes: tuple[Wish, ...], protocol: int
) -> None:
    def work() -> None:
        options = SocketOptions(wishes=wishes)
        with make_socket(socket.AF_INET, options) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == protocol
            assert (options.why_tcp is None) == (protocol == IPPROTO_MPTCP)
            for level, option, value in wishes:
                assert sock.getsockopt(level, option) == value

    namespace.run(work)


SET: dict[str, Wish] = {
    "no delay": (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    "keep-alive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "linger": (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 7)),
    "congestion control": (socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno"),
    "type of service": (socket.IPPROTO_IP, socket.IP_TOS, 0x20),
    "device": (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"),
    "send buffer": (socket.SOL_SOCKET, socket.SO_SNDBUF, 30_000),
    "receive buffer": (socket.SOL_SOCKET, socket.SO_RCVBUF, 40_000),
    "time-out": (socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 3, 0)),
}


@pytest.mark.parametrize("wish", SET.values(), ids=SET.keys())
def test_options_survive_the_swap(namespace: Namespace, wish: Wish) -> None:
    level, option, value = wish

    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as sock:
            before = sock.getsockopt(level, option, 64)
            sock.setsockopt(level, option, value)
            after = sock.getsockopt(level, option, 64)
            assert before != after
            swap_for_tcp(sock)
            assert sock.getsockopt(level, option, 64) == after

    namespace.run(work)


@pytest.mark.parametrize("bound", [False, True])
def test_the_swapped_socket_is_tcp_under_its_descriptor_and_address(
    namespace: Namespace, bound: bool
) -> None:
    def work() -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as sock,
        ):
            if bound:
                sock.bind(("127.0.0.1", 0))
            descriptor, address = sock.fileno(), sock.getsockname()
            sock.settimeout(5)
            swap_for_tcp(sock)
            assert (sock.fileno(), sock.gettimeout()) == (descriptor, 5)
            assert not os.get_inheritable(descriptor)
            assert not os.get_blocking(descriptor)
            assert sock.getsockname() == address
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500)
            sock.connect(server.getsockname())

    namespace.run(work)


@pytest.mark.parametrize("how", ["listening", "connected"])
def test_a_socket_in_use_is_not_swapped(namespace: Namespace, how: str) -> None:
    def work() -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as sock,
        ):
            if how == "listening":
                sock.listen()
            else:
                sock.connect(server.getsockname())
            with pytest.raises(UsageError, match="before the socket connects or listens"):
                swap_for_tcp(sock)

    namespace.run(work)
