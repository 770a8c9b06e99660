from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from plait.errors import UsageError
from plait.linux import mptcp_sockets
from plait.linux.families import IPPROTO_MPTCP
from plait.linux.mptcp_sockets import connect, listen, make_socket
from plait.linux.netns import Namespace, can_make_namespaces
from plait.linux.socket_options import SocketOptions

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]

MPTCP = SocketOptions()
TCP = SocketOptions(mptcp=False)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


def nodelay(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


@pytest.mark.parametrize("host", [None, "127.0.0.1", "::1"])
@pytest.mark.parametrize("options", [MPTCP, TCP], ids=["mptcp", "tcp"])
def test_connected_sockets_have_the_protocol_and_no_delay(
    namespace: Namespace, host: str | None, options: SocketOptions
) -> None:
    def work() -> None:
        with listen(host, 0, options) as listener:
            port = listener.getsockname()[1]
            family = listener.family if host else socket.AF_INET
            with asyncio.run(connect(family, (host or "127.0.0.1", port), options))[0] as sock:
                assert sock.proto == (IPPROTO_MPTCP if options.mptcp else socket.IPPROTO_TCP)
                assert not sock.getblocking()
                assert nodelay(sock)

    namespace.run(work)


UNCONNECTED = {
    "refused": ("127.0.0.1", errno.ECONNREFUSED),
    "unreachable": ("192.0.2.1", errno.ENETUNREACH),
}


@pytest.mark.parametrize(("host", "number"), UNCONNECTED.values(), ids=UNCONNECTED.keys())
def test_an_attempt_that_fails_says_how(namespace: Namespace, host: str, number: int) -> None:
    def work() -> None:
        with pytest.raises(OSError, match=os.strerror(number)):
            asyncio.run(connect(socket.AF_INET, (host, 5001), MPTCP))

    namespace.run(work)


def test_the_local_address_can_be_chosen(namespace: Namespace) -> None:
    def work() -> None:
        with listen(None, 0, MPTCP) as listener:
            port = listener.getsockname()[1]
            ends = (socket.AF_INET, ("127.0.0.1", port))
            with asyncio.run(connect(*ends, MPTCP, local=("127.0.0.9", 0)))[0] as sock:
                assert sock.getsockname()[0] == "127.0.0.9"

    namespace.run(work)


IMPOSSIBLE: dict[str, tuple[Callable[[], object], str]] = {
    "a local address of somebody else": (
        lambda: asyncio.run(
            connect(socket.AF_INET, ("127.0.0.1", 1), MPTCP, local=("192.0.2.1", 0))
        ),
        "192.0.2.1 is not an address of this network namespace",
    ),
    "listening on an address of somebody else": (
        lambda: listen("192.0.2.1", 5001, MPTCP),
        "192.0.2.1 is not an address of this network namespace",
    ),
    "an unknown congestion control": (
        lambda: make_socket(socket.AF_INET, SocketOptions(congestion="nope")),
        "no congestion control 'nope'",
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE.keys())
def test_the_impossible_is_the_callers_to_mend(namespace: Namespace, case: str) -> None:
    attempt, message = IMPOSSIBLE[case]

    def work() -> None:
        with pytest.raises(UsageError, match=message):
            attempt()

    namespace.run(work)


def test_a_port_in_use_is_named(namespace: Namespace) -> None:
    def work() -> None:
        with listen(None, 5001, MPTCP), pytest.raises(UsageError, match="port 5001 is in use"):
            listen(None, 5001, MPTCP)

    namespace.run(work)


def test_mptcp_switched_off_says_how_to_switch_it_on(namespace: Namespace) -> None:
    def work() -> None:
        assert not mptcp_sockets.kernel_has_mptcp()
        with pytest.raises(UsageError, match=r"sysctl net\.mptcp\.enabled=1"):
            make_socket(socket.AF_INET, MPTCP)
        make_socket(socket.AF_INET, TCP).close()

    assert namespace.run(mptcp_sockets.kernel_has_mptcp)
    namespace.set_sysctl("net.mptcp.enabled", 0)
    namespace.run(work)
