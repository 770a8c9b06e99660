"""The socket options of RFC 6897 and of draft-hesmans-mptcp-socket on blocking sockets."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from support.socket_world import ROWS, Scenario, World, play, refused, settled, until_true
from unit.aio.kernel_pair import drop_privileges

import plait
from plait.linux import tcp_info
from plait.sockets import Socket
from plait.sockets.options import (
    FULLY_ESTABLISHED,
    MPTCP_CLOSE_SUB_ID,
    MPTCP_GET_SUB_IDS,
    MPTCP_GET_SUB_TUPLE,
    MPTCP_OPEN_SUB_TUPLE,
    MPTCP_SUB_GETSOCKOPT,
    MPTCP_SUB_SETSOCKOPT,
    SUB_OPTION,
    TCP_MULTIPATH_ADD,
    TCP_MULTIPATH_CONNID,
    TCP_MULTIPATH_ENABLE,
    TCP_MULTIPATH_REMOVE,
    TCP_MULTIPATH_SUBFLOWS,
    pack_address,
    unpack_addresses,
    unpack_ids,
)

Run = Callable[[Scenario[Any]], Any]

PATH_MANAGER = Path("/proc/sys/net/mptcp/pm_type")
TCP = socket.IPPROTO_TCP
ROOM = 4096


@pytest.fixture(params=ROWS)
def run(request: pytest.FixtureRequest) -> Run:
    row: str = request.param
    return lambda scenario: play(row, scenario)


@pytest.fixture(params=("kernel", "stack"))
def run_multipath(request: pytest.FixtureRequest) -> Run:
    row: str = request.param
    return lambda scenario: play(row, scenario)


def addresses(*texts: str) -> bytes:
    return b"".join(pack_address(ip_address(text)) for text in texts)


def locals_of(sock: Socket) -> set[str]:
    return {str(path.local) for path in sock.connection.paths}


def ids(sock: Socket) -> list[int]:
    """Return the ids of the subflows that work."""
    entries = unpack_ids(sock.getsockopt(TCP, MPTCP_GET_SUB_IDS, ROOM))
    return [entry.id for entry in entries if entry.flags & FULLY_ESTABLISHED]


# ---- TCP_MULTIPATH_ENABLE


@pytest.mark.rfc("6897", "5.3.1", "M6897-5.3.1-01")
@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-01", "M6897-5.3.2-04")
def test_enable_can_be_set_before_and_read_afterwards(run: Run) -> None:
    def scenario(world: World) -> None:
        world.listen()
        here = world.socket()
        assert here.getsockopt(TCP, TCP_MULTIPATH_ENABLE) == int(world.multipath)
        if world.multipath:
            here.setsockopt(TCP, TCP_MULTIPATH_ENABLE, struct.pack("i", 1))
        else:
            refused(errno.EOPNOTSUPP, here.setsockopt, TCP, TCP_MULTIPATH_ENABLE, 1)
        here.connect((world.address, world.port))
        assert here.getsockopt(TCP, TCP_MULTIPATH_ENABLE) == int(world.multipath)
        assert here.getsockopt(TCP, TCP_MULTIPATH_ENABLE, 4) == struct.pack("i", world.multipath)
        refused(errno.EISCONN, here.setsockopt, TCP, TCP_MULTIPATH_ENABLE, 0)
        refused(errno.EINVAL, here.getsockopt, TCP, TCP_MULTIPATH_ENABLE, 3)

    run(scenario)


@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-03")
@pytest.mark.parametrize("who", ["initiator", "listener"])
def test_disabled_it_is_tcp_on_either_side(run_multipath: Run, who: str) -> None:
    def scenario(world: World) -> None:
        server = world.keep(plait.socket(**world.server))
        server.settimeout(5)
        here = world.socket()
        off = here if who == "initiator" else server
        off.setsockopt(TCP, TCP_MULTIPATH_ENABLE, 0)
        assert off.getsockopt(TCP, TCP_MULTIPATH_ENABLE) == 0
        server.bind(("", 0))
        server.listen()
        here.connect((world.address, server.getsockname()[1]))
        for end in settled((here, world.accept(server))):
            assert end.getsockopt(TCP, TCP_MULTIPATH_ENABLE) == 0
            assert not end.info.is_mptcp
        if who == "initiator":
            assert here.info.fallback_reason == "Multipath TCP is off"
            if world.row == "stack":
                stack: plait.Stack = world.client["stack"]
                assert stack.counters.snapshot()["MPCapableSYNTX"] == 0

    run_multipath(scenario)


@pytest.mark.rfc("6897", "4.2.1", "M6897-4.2.1-01")
def test_binding_to_one_address_means_tcp(run_multipath: Run) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        here = world.socket()
        here.bind((world.local, 0))
        here.connect((world.address, world.port))
        for end in settled((here, world.accept(server))):
            assert not end.info.is_mptcp
        assert here.getsockname()[0] == world.local

    run_multipath(scenario)


@pytest.mark.rfc("6897", "4.2.1", "M6897-4.2.1-02")
@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-02")
@pytest.mark.parametrize("bound", [True, False], ids=["one", "any"])
def test_unless_it_was_enabled_and_then_only_that_is_used(*, bound: bool) -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        here = world.socket()
        here.setsockopt(TCP, TCP_MULTIPATH_ENABLE, 1)
        here.bind((world.local if bound else "", 0))
        port = here.getsockname()[1]
        here.connect((world.address, world.port))
        assert here.getsockname()[1] == port
        settled((here, world.accept(server)))
        if bound:
            here.sendall(bytes(1 << 20))
            assert locals_of(here) == {world.local}
        else:  # the control: what the other address would do
            until_true(lambda: locals_of(here) == {world.local, world.other})

    play("stack", scenario)


def test_the_kernel_keeps_multipath_tcp_if_enabled_before_binding() -> None:
    def scenario(world: World) -> None:
        world.listen()
        here = world.socket()
        here.setsockopt(TCP, TCP_MULTIPATH_ENABLE, 1)
        here.bind((world.local, 0))
        here.connect((world.address, world.port))
        assert here.info.is_mptcp

    play("kernel", scenario)


# ---- addresses


@pytest.mark.rfc("6897", "5.3.1", "M6897-5.3.1-02")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-01", "M6897-5.3.3-02")
@pytest.mark.rfc("6897", "5.2", "M6897-5.2-02")
@pytest.mark.rfc("6897", "7", "M6897-7-01")
def test_addresses_added_before_connecting_are_all_there_are() -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        here = world.socket()
        foreign = addresses("192.0.2.1")
        refused(errno.EADDRNOTAVAIL, here.setsockopt, TCP, TCP_MULTIPATH_ADD, foreign)
        wanted = pack_address(ip_address(world.other), 40123)
        here.setsockopt(TCP, TCP_MULTIPATH_ADD, wanted + addresses(world.local))
        here.setsockopt(TCP, TCP_MULTIPATH_REMOVE, addresses(world.local))
        here.connect(("10.0.2.2", world.port))
        settled((here, world.accept(server)))
        here.sendall(bytes(1 << 20))
        assert locals_of(here) == {world.other}
        assert {path.local_port for path in here.connection.paths} >= {40123}

    play("stack", scenario)


@pytest.mark.rfc("6897", "5.3.1", "M6897-5.3.1-02", "M6897-5.3.1-03")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-04", "M6897-5.3.3-05", "M6897-5.3.3-07")
def test_addresses_come_and_go_while_it_is_open() -> None:
    def scenario(world: World) -> None:
        here, _ = world.joined()
        here.setsockopt(TCP, TCP_MULTIPATH_REMOVE, addresses(world.other))
        until_true(lambda: locals_of(here) == {world.local})
        here.setsockopt(TCP, TCP_MULTIPATH_ADD, addresses(world.other))
        until_true(lambda: locals_of(here) == {world.local, world.other})
        mixed = addresses(world.other, "2001:db8::1")
        refused(errno.EADDRNOTAVAIL, here.setsockopt, TCP, TCP_MULTIPATH_ADD, mixed)
        both = addresses(world.local, world.other)
        refused(errno.EINVAL, here.setsockopt, TCP, TCP_MULTIPATH_REMOVE, both)
        refused(errno.EINVAL, here.setsockopt, TCP, TCP_MULTIPATH_ADD, both[:-1])

    play("stack", scenario)


def test_the_kernel_says_where_it_takes_addresses_from() -> None:
    def scenario(world: World) -> None:
        here = world.socket()
        for option in (TCP_MULTIPATH_ADD, TCP_MULTIPATH_REMOVE):
            with pytest.raises(OSError, match="ip mptcp endpoint") as raised:
                here.setsockopt(TCP, option, addresses(world.local))
            assert raised.value.errno == errno.EOPNOTSUPP

    play("kernel", scenario)


# ---- what there is


@pytest.mark.rfc("6897", "5.3.1", "M6897-5.3.1-04", "M6897-5.3.1-05")
@pytest.mark.rfc("6897", "5.2", "M6897-5.2-03", "M6897-5.2-04")
@pytest.mark.rfc("6897", "5.3.4", "M6897-5.3.4-01")
@pytest.mark.rfc("6897", "5.3.5", "M6897-5.3.5-01")
def test_subflows_and_connection_id_can_be_read(run_multipath: Run) -> None:
    def scenario(world: World) -> None:
        new = world.socket()
        for option in (TCP_MULTIPATH_SUBFLOWS, TCP_MULTIPATH_CONNID):
            refused(errno.ENOTCONN, new.getsockopt, TCP, option, ROOM)
            refused(errno.ENOPROTOOPT, new.setsockopt, TCP, option, 1)
        for option in (TCP_MULTIPATH_ADD, TCP_MULTIPATH_REMOVE, MPTCP_SUB_SETSOCKOPT):
            refused(errno.ENOPROTOOPT, new.getsockopt, TCP, option, ROOM)
        here, there = world.joined()
        for end in (here, there):
            ends = unpack_addresses(end.getsockopt(TCP, TCP_MULTIPATH_SUBFLOWS, ROOM))
            pairs = list(zip(ends[::2], ends[1::2], strict=True))
            assert pairs == [
                ((path.local, path.local_port), (path.remote, path.remote_port))
                for path in end.connection.paths
            ]
            assert len(pairs) >= 2
            refused(errno.EINVAL, end.getsockopt, TCP, TCP_MULTIPATH_SUBFLOWS, 63)
        numbers = {end.getsockopt(TCP, TCP_MULTIPATH_CONNID) for end in (here, there)}
        assert len(numbers) == 2

    run_multipath(scenario)


@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-01", "M6897-4.2.2-02")
def test_names_stay_when_the_first_subflow_is_gone() -> None:
    def scenario(world: World) -> None:
        here, there = world.joined()
        names = [(end.getsockname(), end.getpeername()) for end in (here, there)]
        first = here.connection.paths[0]
        here.connection.close_subflow(ids(here)[0])
        until_true(lambda: first not in here.connection.paths)
        settled((here, there))
        assert [(end.getsockname(), end.getpeername()) for end in (here, there)] == names

    play("stack", scenario)


# ---- draft-hesmans-mptcp-socket


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-01", "HESM-02", "HESM-03", "HESM-11")
def test_ids_and_tuples(run_multipath: Run) -> None:
    def scenario(world: World) -> None:
        for end in world.joined():
            octets = end.getsockopt(TCP, MPTCP_GET_SUB_IDS, ROOM)
            entries = unpack_ids(octets)
            assert octets[0] == len(entries) == len(end.connection.subflows())
            refused(
                errno.EINVAL,
                end.getsockopt,
                TCP,
                MPTCP_GET_SUB_IDS,
                len(octets) - 1,
            )
            for one in end.connection.subflows():
                request = bytes([one.id]).ljust(33, b"\0")
                found = end.getsockopt(TCP, MPTCP_GET_SUB_TUPLE, request)
                path = one.path
                assert unpack_addresses(found[1:]) == [
                    (path.local, path.local_port),
                    (path.remote, path.remote_port),
                ]
                refused(
                    errno.EINVAL,
                    end.getsockopt,
                    TCP,
                    MPTCP_GET_SUB_TUPLE,
                    request[:-1],
                )
            unknown = bytes([255]).ljust(33, b"\0")
            refused(errno.EINVAL, end.getsockopt, TCP, MPTCP_GET_SUB_TUPLE, unknown)

    run_multipath(scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-02", "HESM-04", "HESM-05", "HESM-10")
def test_subflows_open_and_close() -> None:
    def scenario(world: World) -> None:
        here, there = world.joined()
        before = ids(here)
        local = pack_address(ip_address(world.other), 40321)
        request = b"\0" + local + pack_address(ip_address("10.0.2.2"), world.port)
        made = here.getsockopt(TCP, MPTCP_OPEN_SUB_TUPLE, request)[0]
        assert made not in before
        until_true(lambda: made in ids(here))
        assert 40321 in {path.local_port for path in here.connection.paths}
        for number in before:
            here.getsockopt(TCP, MPTCP_CLOSE_SUB_ID, bytes([number, number % 2]))
        until_true(lambda: ids(here) == [made])
        settled((here, there))
        refused(errno.EINVAL, here.getsockopt, TCP, MPTCP_CLOSE_SUB_ID, bytes([made]))
        refused(errno.EINVAL, here.getsockopt, TCP, MPTCP_CLOSE_SUB_ID, bytes([made, 2]))
        refused(errno.EINVAL, here.getsockopt, TCP, MPTCP_OPEN_SUB_TUPLE, request[:-16])
        settled((here, there))

    play("stack", scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-06")
def test_options_of_one_subflow_can_be_read(run_multipath: Run) -> None:
    def scenario(world: World) -> None:
        here, _ = world.joined()
        for number in ids(here):
            request = SUB_OPTION.pack(number, TCP, socket.TCP_INFO).ljust(512, b"\0")
            octets = here.getsockopt(TCP, MPTCP_SUB_GETSOCKOPT, request)
            assert tcp_info.parse_tcp_info(octets).state == "ESTABLISHED"
        short = SUB_OPTION.pack(1, TCP, socket.TCP_INFO)[:-1]
        refused(errno.EINVAL, here.getsockopt, TCP, MPTCP_SUB_GETSOCKOPT, short)

    run_multipath(scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-07")
def test_options_of_one_subflow_can_be_set(run_multipath: Run) -> None:
    def scenario(world: World) -> None:
        here, _ = world.joined()
        first, second = ids(here)[:2]
        tos = (socket.IPPROTO_IP, socket.IP_TOS)
        value = SUB_OPTION.pack(second, *tos) + struct.pack("i", 0x20)
        if world.row == "kernel":
            refused(errno.EOPNOTSUPP, here.setsockopt, TCP, MPTCP_SUB_SETSOCKOPT, value)
            return
        here.setsockopt(TCP, MPTCP_SUB_SETSOCKOPT, value)
        for number, expected in ((first, 0), (second, 0x20)):
            request = SUB_OPTION.pack(number, *tos)
            found = here.getsockopt(TCP, MPTCP_SUB_GETSOCKOPT, request)
            assert struct.unpack("i", found) == (expected,)

    run_multipath(scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-09")
def test_plain_tcp_has_none_of_them(run: Run) -> None:
    def scenario(world: World) -> None:
        world.listen()
        here = world.socket()
        if world.multipath:
            here.setsockopt(TCP, TCP_MULTIPATH_ENABLE, 0)
        here.connect((world.address, world.port))
        for option in (
            TCP_MULTIPATH_SUBFLOWS,
            TCP_MULTIPATH_CONNID,
            MPTCP_GET_SUB_IDS,
            MPTCP_GET_SUB_TUPLE,
            MPTCP_OPEN_SUB_TUPLE,
            MPTCP_CLOSE_SUB_ID,
            MPTCP_SUB_GETSOCKOPT,
        ):
            refused(
                errno.EOPNOTSUPP,
                here.getsockopt,
                TCP,
                option,
                bytes(64),
            )
        for option in (TCP_MULTIPATH_ADD, TCP_MULTIPATH_REMOVE):
            value = addresses(world.local)
            refused(
                errno.EOPNOTSUPP,
                here.setsockopt,
                TCP,
                option,
                value,
            )

    run(scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-04", "HESM-05", "HESM-10")
@pytest.mark.rfc("6897", "5.3.1", "M6897-5.3.1-02", "M6897-5.3.1-03")
def test_with_privileges_the_kernel_opens_and_closes_subflows() -> None:
    def scenario(world: World) -> None:
        server = world.listen()
        here = world.socket()
        PATH_MANAGER.write_text("0")  # of sockets made from now on: a steered listener joins nobody
        here.connect((world.address, world.port))
        there = world.accept(server)
        settled((here, there))
        (first,) = ids(here)
        request = b"\0" + pack_address(ip_address(world.other))
        request += pack_address(ip_address(world.address), world.port)
        made = here.getsockopt(TCP, MPTCP_OPEN_SUB_TUPLE, request)[0]
        until_true(lambda: ids(here) == [first, made])
        here.getsockopt(TCP, MPTCP_CLOSE_SUB_ID, bytes([made, 0]))
        until_true(lambda: ids(here) == [first])
        refused(errno.EOPNOTSUPP, here.getsockopt, TCP, MPTCP_CLOSE_SUB_ID, bytes([first, 1]))
        refused(errno.EINVAL, here.getsockopt, TCP, MPTCP_CLOSE_SUB_ID, bytes([first, 0]))
        here.setsockopt(TCP, TCP_MULTIPATH_ADD, addresses(world.other))
        until_true(lambda: locals_of(here) == {world.local, world.other})
        here.setsockopt(TCP, TCP_MULTIPATH_REMOVE, addresses(world.other))
        until_true(lambda: locals_of(here) == {world.local})
        foreign = addresses("192.0.2.1")
        refused(errno.EADDRNOTAVAIL, here.setsockopt, TCP, TCP_MULTIPATH_ADD, foreign)
        settled((here, there))

    play("kernel", scenario, userspace=True)


def test_without_privileges_it_may_not() -> None:
    def scenario(world: World) -> None:
        here, _ = settled(world.both())
        drop_privileges()
        value = addresses(world.other)
        refused(errno.EPERM, here.setsockopt, TCP, TCP_MULTIPATH_ADD, value)

    play("kernel", scenario, userspace=True)
