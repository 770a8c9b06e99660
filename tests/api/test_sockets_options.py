"""Options that TCP has as well, on blocking sockets of every back end."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from support.socket_world import ROWS, Scenario, World, play, refused, settled

from plait.linux import tcp_info
from plait.sockets import options
from plait.sockets.options import (
    TCP_MULTIPATH_ENABLE,
)

Run = Callable[[Scenario[Any]], Any]

TCP = socket.IPPROTO_TCP


@pytest.fixture(params=ROWS)
def run(request: pytest.FixtureRequest) -> Run:
    row: str = request.param
    return lambda scenario: play(row, scenario)


@pytest.mark.rfc("6897", "4.4.1", "M6897-4.4.1-01")
@pytest.mark.rfc("6897", "4.4.3", "M6897-4.4.3-01")
def test_options_are_settings_of_the_stack() -> None:
    before = {
        (socket.SOL_SOCKET, socket.SO_SNDBUF): 70_000,
        (socket.SOL_SOCKET, socket.SO_RCVBUF): 80_000,
        (socket.IPPROTO_TCP, socket.TCP_NODELAY): 0,
        (socket.IPPROTO_IP, socket.IP_TOS): 0x20,
        (socket.IPPROTO_IP, socket.IP_TTL): 33,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 11,
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 12,
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 1500,
        (socket.IPPROTO_TCP, socket.TCP_MAXSEG): 700,
    }
    fixed = {(socket.SOL_SOCKET, socket.SO_SNDBUF), (socket.SOL_SOCKET, socket.SO_RCVBUF)}

    def scenario(world: World) -> None:
        server = world.listen()
        here = world.socket()
        for (level, option), value in before.items():
            here.setsockopt(level, option, value)
            assert here.getsockopt(level, option) == value
        here.setsockopt(TCP, socket.TCP_CONGESTION, b"reno")
        here.connect((world.address, world.port))
        settled((here, world.accept(server)))
        for (level, option), value in before.items():
            if option != socket.TCP_MAXSEG:
                assert here.getsockopt(level, option) == value
        assert here.getsockopt(TCP, socket.TCP_MAXSEG) <= 1460
        assert here.getsockopt(TCP, socket.TCP_CONGESTION, 16) == b"reno"
        assert tcp_info.parse_tcp_info(here.getsockopt(TCP, socket.TCP_INFO, 512)).rcv_wscale <= 1
        for level, option in fixed:
            refused(errno.EISCONN, here.setsockopt, level, option, 1 << 20)
        here.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x40)
        assert here.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x40
        refused(errno.EINVAL, here.setsockopt, TCP, socket.TCP_CONGESTION, b"none such")
        unknown = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE)
        refused(errno.ENOPROTOOPT, here.setsockopt, *unknown, b"eth0")
        refused(errno.ENOPROTOOPT, here.getsockopt, *unknown)

    play("stack", scenario)


@pytest.mark.rfc("6897", "4.4.3", "M6897-4.4.3-01")
def test_buffers_of_every_back_end(run: Run) -> None:
    def scenario(world: World) -> None:
        here = world.socket()
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            here.setsockopt(socket.SOL_SOCKET, option, 100_000)
            assert here.getsockopt(socket.SOL_SOCKET, option) in {100_000, 200_000}  # Linux: twice

    run(scenario)


REFUSED = "TCP_USER_TIMEOUT needs TCP: the kernel's Multipath TCP refuses it"


def test_an_option_that_the_kernel_refuses_makes_it_tcp() -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        early = world.socket()
        early.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 1500)
        assert early.getsockopt(TCP, TCP_MULTIPATH_ENABLE) == 0
        with pytest.raises(OSError, match=REFUSED):
            early.setsockopt(TCP, TCP_MULTIPATH_ENABLE, 1)
        early.connect((world.address, world.port))
        settled((early, world.accept(server)))
        assert early.getsockopt(TCP, socket.TCP_USER_TIMEOUT) == 1500
        assert (early.info.backend, early.info.fallback_reason) == ("tcp", REFUSED)
        late = world.connect()
        with pytest.raises(OSError, match=f"{REFUSED}, and this socket is in use$"):
            late.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 1500)
        settled((late, world.accept(server)))
        assert late.info.is_mptcp

    play("kernel", scenario)


@pytest.mark.rfc("6897", "4.4.4", "M6897-4.4.4-01")
def test_urgent_data_is_refused() -> None:
    def scenario(world: World) -> None:
        here, _ = world.both()
        refused(errno.EOPNOTSUPP, here.send, b"!", socket.MSG_OOB)

    play("stack", scenario)


def test_a_request_is_for_options_that_take_one(run: Run) -> None:
    def scenario(world: World) -> None:
        with pytest.raises(TypeError):
            world.socket().getsockopt(TCP, socket.TCP_NODELAY, b"1234")

    run(scenario)


def test_numbers_differ() -> None:
    named = [number for name, number in vars(options).items() if name.startswith(("MPTCP", "TCP"))]
    assert len(set(named)) == len(named) == 11
