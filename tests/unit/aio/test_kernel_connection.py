from __future__ import annotations

import asyncio
import errno
import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import pytest
from unit.aio.kernel_pair import Pair, in_pair, until

from plait.aio.happenings import Happenings
from plait.errors import NotSupportedError, PrivilegeError, UsageError
from plait.host.events import (
    AddressAdvertised,
    AddressWithdrawn,
    Closed,
    Event,
    JoinFailed,
    LossReason,
    Lost,
    SubflowDown,
    SubflowEnd,
    SubflowPriority,
    SubflowUp,
)
from plait.linux.counters import snapshot
from plait.linux.netns import can_make_namespaces
from plait.linux.path_manager import BACKUP, SUBFLOW
from plait.linux.tcp_info import parse_tcp_info

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]

SECOND = ip_address("10.9.2.1")
FAR_SECOND = ip_address("10.9.2.2")
KERNEL = (False, False)
BOTH = (True, True)


async def subflows(pair: Pair, count: int) -> None:
    await until(lambda: len(pair.mine.paths) == count)


@pytest.mark.rfc("6897", "5.3.1", "M6897-5.2-03")
@pytest.mark.rfc("6897", "5.3.4", "M6897-5.3.4-01")
def test_the_kernels_own_subflows_are_told_with_ids_and_backup() -> None:
    async def scenario(pair: Pair) -> None:
        await subflows(pair, 2)
        first, second = pair.mine.subflows()
        assert (first.low_prio, second.low_prio) == (False, True)
        assert len({0, first.id, second.id}) == 3
        info = pair.mine.info
        assert [(one.id, one.local_id) for one in info.subflows] == [(first.id, 0), (second.id, 3)]
        assert [str(path.local) for path in pair.mine.paths] == ["10.9.1.1", "10.9.2.1"]
        assert pair.mine.multipath
        await until(lambda: len(pair.other.paths) == 2)

    in_pair(scenario, userspace=KERNEL, endpoints=[("10.9.2.1", 3, SUBFLOW | BACKUP)])


@pytest.mark.rfc("6897", "5.3.5", "M6897-5.3.5-01")
@pytest.mark.rfc("6897", "5.3.1", "M6897-5.2-04")
def test_both_ends_know_version_token_and_addresses() -> None:
    async def scenario(pair: Pair) -> None:
        for end in (pair.mine, pair.other):
            assert (end.info.version, end.info.backend, end.info.fallback_reason) == (
                1,
                "kernel",
                None,
            )
            assert end.connid == end.info.token
        assert pair.mine.connid != pair.other.connid
        assert pair.mine.paths[0].flow_out() == pair.other.paths[0].flow_in()

    in_pair(scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-02")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-04")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-05")
def test_subflows_open_from_the_address_and_port_named_and_close_again() -> None:
    async def scenario(pair: Pair) -> None:
        (first,) = (one.id for one in pair.mine.subflows())
        opened = pair.mine.open_subflow(SECOND, FAR_SECOND, local_port=7777)
        await subflows(pair, 2)
        (path,) = (one.path for one in pair.mine.subflows() if one.id == opened)
        assert (path.local, path.local_port, path.remote) == (SECOND, 7777, FAR_SECOND)
        pair.mine.close_subflow(opened)
        await subflows(pair, 1)
        again = pair.mine.open_subflow(None, FAR_SECOND)
        await subflows(pair, 2)
        assert len({first, opened, again}) == 3
        assert pair.mine.paths[1].local == SECOND
        await pair.talk()

    in_pair(scenario)


@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-01")
@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-02")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-10")
def test_the_first_subflow_may_go_and_the_last_may_not() -> None:
    async def scenario(pair: Pair) -> None:
        (first,) = pair.mine.subflows()
        with pytest.raises(UsageError, match="last subflow that works"):
            pair.mine.close_subflow(first.id)
        with pytest.raises(UsageError, match="has no subflow 99"):
            pair.mine.close_subflow(99)
        opened = pair.mine.open_subflow(SECOND, FAR_SECOND)
        await subflows(pair, 2)
        pair.mine.close_subflow(first.id)
        await until(lambda: [one.id for one in pair.mine.subflows()] == [opened])
        assert pair.here.transport.get_extra_info("peername") == ("10.9.1.2", 5001)
        assert pair.here.transport.get_extra_info("socket").getpeername() == ("10.9.1.2", 5001)
        assert [one.tcp.state for one in pair.mine.info.subflows] == ["CLOSED", "ESTABLISHED"]
        await pair.talk()

    in_pair(scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-11")
def test_a_listener_may_ask_for_subflows_but_kernels_take_none_on_ports_they_do_not_listen_on() -> (
    None
):
    async def scenario(pair: Pair) -> None:
        def ask() -> None:
            pair.other.open_subflow(FAR_SECOND, SECOND)

        with suppress(ConnectionRefusedError):  # the answer may be there at once, or not yet
            pair.far.run(ask)
        await until(lambda: pair.far.run(snapshot)["MPJoinSynTx"] == 1)
        await until(lambda: len(pair.other.subflows()) == 1)
        assert len(pair.mine.subflows()) == 1

    in_pair(scenario, userspace=(False, True))


def test_backup_is_asked_for_at_opening_and_later() -> None:
    async def scenario(pair: Pair) -> None:
        opened = pair.mine.open_subflow(SECOND, FAR_SECOND, backup=True)
        await subflows(pair, 2)
        assert [one.low_prio for one in pair.mine.subflows()] == [False, True]
        pair.mine.set_backup(opened, backup=False)
        await until(lambda: pair.far.run(snapshot)["MPPrioRx"] == 1)
        assert [one.low_prio for one in pair.mine.subflows()] == [False, False]

    in_pair(scenario)


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.1-02")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.1-03")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-04")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-05")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-07")
def test_addresses_are_added_and_removed() -> None:
    async def scenario(pair: Pair) -> None:
        pair.mine.add_addresses([SECOND, ip_address("fd09:2::1")])
        await subflows(pair, 2)
        await until(lambda: pair.far.run(snapshot)["AddAddr"] == 1)
        pair.mine.remove_addresses([SECOND])
        await subflows(pair, 1)
        await until(lambda: pair.far.run(snapshot)["RmAddr"] == 1)
        with pytest.raises(UsageError, match="no subflow would be left"):
            pair.mine.remove_addresses([ip_address("10.9.1.1")])
        await pair.talk()

    in_pair(scenario)


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-02")
def test_a_port_given_with_an_address_is_bound() -> None:
    async def scenario(pair: Pair) -> None:
        pair.mine.add_addresses([(SECOND, 7777)])
        await subflows(pair, 2)
        assert pair.mine.paths[1].local_port == 7777

    in_pair(scenario)


@pytest.mark.rfc("6897", "7", "M6897-7-01")
def test_an_address_that_is_not_ours_changes_nothing() -> None:
    async def scenario(pair: Pair) -> None:
        with pytest.raises(OSError, match=r"192\.0\.2\.1 is not an address") as raised:
            pair.mine.add_addresses([SECOND, ip_address("192.0.2.1")])
        assert raised.value.errno == errno.EADDRNOTAVAIL
        await pair.talk()
        assert len(pair.mine.subflows()) == 1
        with pytest.raises(UsageError, match="no path from"):
            pair.mine.open_subflow(ip_address("192.0.2.1"))
        with pytest.raises(UsageError, match="different families"):
            pair.mine.open_subflow(ip_address("fd09:2::1"), FAR_SECOND)

    in_pair(scenario)


def test_a_listener_announces_what_it_adds_and_withdraws_what_it_removes() -> None:
    async def scenario(pair: Pair) -> None:
        pair.far.run(lambda: pair.other.add_addresses([FAR_SECOND]))
        await until(lambda: snapshot()["AddAddr"] == 1)
        pair.far.run(lambda: pair.other.remove_addresses([FAR_SECOND]))
        await until(lambda: snapshot()["RmAddr"] == 1)
        assert len(pair.other.subflows()) == 1

    in_pair(scenario, userspace=BOTH)


STEER: dict[str, Callable[[Pair], object]] = {
    "open": lambda pair: pair.mine.open_subflow(SECOND),
    "close": lambda pair: pair.mine.close_subflow(pair.mine.subflows()[1].id),
    "back up": lambda pair: pair.mine.set_backup(pair.mine.subflows()[0].id, backup=True),
    "add": lambda pair: pair.mine.add_addresses([ip_address("fd09:2::1")]),
    "remove": lambda pair: pair.mine.remove_addresses([SECOND]),
}


@pytest.mark.parametrize("steer", STEER.values(), ids=STEER.keys())
def test_what_the_kernels_path_manager_steers_says_what_would_let_us(
    steer: Callable[[Pair], object],
) -> None:
    async def scenario(pair: Pair) -> None:
        await subflows(pair, 2)
        with pytest.raises(NotSupportedError, match=r"net\.mptcp\.path_manager=userspace"):
            steer(pair)
        assert len(pair.mine.subflows()) == 2

    in_pair(scenario, userspace=KERNEL, endpoints=[("10.9.2.1", 3, SUBFLOW)])


@pytest.mark.parametrize("steer", STEER.values(), ids=STEER.keys())
def test_without_privilege_it_is_said_which_is_needed(steer: Callable[[Pair], object]) -> None:
    async def scenario(pair: Pair) -> None:
        await subflows(pair, 2)
        with pytest.raises(PrivilegeError, match="needs CAP_NET_ADMIN"):
            steer(pair)

    in_pair(scenario, userspace=KERNEL, privileged=False, endpoints=[("10.9.2.1", 3, SUBFLOW)])


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-06")
def test_tcp_info_is_told_for_each_subflow() -> None:
    async def scenario(pair: Pair) -> None:
        opened = pair.mine.open_subflow(SECOND, FAR_SECOND)
        await subflows(pair, 2)
        first = pair.mine.subflows()[0].id
        told = [
            pair.mine.subflow_getsockopt(one, socket.IPPROTO_TCP, socket.TCP_INFO)
            for one in (first, opened)
        ]
        assert all(isinstance(one, bytes) for one in told)
        infos = [parse_tcp_info(bytes(one)) for one in told if isinstance(one, bytes)]
        assert [one.state for one in infos] == ["ESTABLISHED"] * 2
        assert infos[0].bytes_sent >= 5
        with pytest.raises(OSError, match="Protocol not available"):
            pair.mine.subflow_getsockopt(first, socket.IPPROTO_IP, socket.IP_TOS)
        with pytest.raises(NotSupportedError, match="all subflows at once"):
            pair.mine.subflow_setsockopt(first, socket.IPPROTO_IP, socket.IP_TOS, 32)
        with pytest.raises(NotSupportedError, match="by FIN only"):
            pair.mine.close_subflow(opened, "rst")

    in_pair(scenario)


def kinds(happenings: Happenings) -> list[Event]:
    return [happening.event for happening in happenings.take()]


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-08")
def test_events_are_told_by_the_kernel_as_they_happen() -> None:
    async def scenario(pair: Pair) -> None:
        token = pair.mine.connid
        happenings = pair.mine.events()
        (first,) = pair.mine.paths
        assert kinds(happenings) == [SubflowUp(token, first)]

        opened = pair.mine.open_subflow(SECOND, FAR_SECOND)
        await subflows(pair, 2)
        await asyncio.sleep(0.05)
        second = pair.mine.paths[1]
        assert kinds(happenings) == [SubflowUp(token, second)]

        with suppress(ConnectionRefusedError):  # the answer may be there at once, or not yet
            pair.mine.open_subflow(SECOND, FAR_SECOND, remote_port=9)
        await asyncio.sleep(0.05)
        (failed,) = kinds(happenings)
        assert isinstance(failed, JoinFailed)
        assert (failed.end, failed.path.remote_port) == (SubflowEnd.REFUSED, 9)

        theirs = pair.other.subflows()[1].id
        pair.far.run(lambda: pair.other.set_backup(theirs, backup=True))
        await asyncio.sleep(0.05)
        assert kinds(happenings) == [SubflowPriority(token, second, backup=True)]

        address = ip_address("fd09:2::2")
        pair.far.run(lambda: pair.other.add_addresses([address]))
        await asyncio.sleep(0.05)
        (told,) = kinds(happenings)
        assert isinstance(told, AddressAdvertised)
        assert (told.address, told.port) == (address, 0)
        pair.far.run(lambda: pair.other.remove_addresses([address]))
        await asyncio.sleep(0.05)
        assert kinds(happenings) == [AddressWithdrawn(token, told.address_id, address)]

        pair.mine.close_subflow(opened)
        await asyncio.sleep(0.05)
        assert kinds(happenings) == [SubflowDown(token, second, SubflowEnd.CLOSED, None)]

        pair.here.transport.close()
        events = [happening.event async for happening in happenings]
        assert isinstance(events[-1], Closed)
        assert [type(event) for event in events].count(SubflowDown) == 1
        late = [happening.event async for happening in pair.mine.events()]
        assert late[0] == SubflowUp(token, first)
        assert late[-1] == events[-1]

    in_pair(scenario, userspace=BOTH)


def test_without_privilege_events_come_from_comparing_snapshots() -> None:
    async def scenario(pair: Pair) -> None:
        happenings = pair.mine.events()
        await subflows(pair, 2)
        first, second = pair.mine.paths
        await asyncio.sleep(0.25)
        token = pair.mine.connid
        assert kinds(happenings) == [SubflowUp(token, first), SubflowUp(token, second)]
        pair.here.transport.close()
        (*down, closed) = [happening.event async for happening in happenings]
        assert {type(event) for event in down} == {SubflowDown}
        assert isinstance(closed, Closed)

    in_pair(scenario, userspace=KERNEL, privileged=False, endpoints=[("10.9.2.1", 3, SUBFLOW)])


def test_a_reset_is_told_as_a_loss_and_the_last_snapshot_stays() -> None:
    async def scenario(pair: Pair) -> None:
        token = pair.mine.connid
        happenings = pair.mine.events()
        sock = pair.there.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pair.there.transport.abort()
        await pair.here.lost.wait()
        events = [happening.event async for happening in happenings]
        assert isinstance(events[-1], Lost)
        assert events[-1].reason is LossReason.RESET
        assert (pair.mine.info.token, pair.mine.info.bytes_sent) == (token, 5)
        assert [one.tcp.state for one in pair.mine.info.subflows] == ["CLOSED"]
        for ended in (lambda: pair.mine.change(nodelay=True), pair.mine.subflows):
            with pytest.raises(UsageError, match="connection has ended"):
                ended()

    in_pair(scenario)


REASONS = {
    "the peer listens for TCP": ((True, False), "kernel", "tcp", "answered with plain TCP"),
    "the peer connects by TCP": ((False, True), "tcp", "kernel", "Multipath TCP is off"),
    "both are plain": ((False, False), "tcp", "tcp", "Multipath TCP is off"),
}


@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-04")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-09")
@pytest.mark.parametrize(("mptcp", "mine", "other", "why"), REASONS.values(), ids=REASONS.keys())
def test_plain_tcp_says_why(mptcp: tuple[bool, bool], mine: str, other: str, why: str) -> None:
    async def scenario(pair: Pair) -> None:
        assert (pair.mine.info.backend, pair.other.info.backend) == (mine, other)
        assert why in str(pair.mine.info.fallback_reason)
        assert not pair.mine.multipath
        assert pair.mine.info.fallback is mptcp[0]
        calls: list[Callable[[], object]] = [
            pair.mine.subflows,
            lambda: pair.mine.open_subflow(SECOND),
            lambda: pair.mine.add_addresses([SECOND]),
            lambda: pair.mine.connid,
        ]
        for call in calls:
            with pytest.raises(UsageError, match="plain TCP"):
                call()
        async for happening in pair.mine.events():
            assert isinstance(happening.event, SubflowUp)
            break

    in_pair(scenario, mptcp=mptcp)


def test_an_accepted_tcp_connection_tells_that_the_peer_wanted_no_more() -> None:
    async def scenario(pair: Pair) -> None:
        assert pair.other.info.fallback_reason == "the peer spoke plain TCP"
        assert pair.other.info.fallback

    in_pair(scenario, mptcp=(False, True))


CHANGES: dict[str, tuple[dict[str, Any], type[UsageError], str]] = {
    "scheduler": ({"scheduler": "blest"}, NotSupportedError, "sysctl net.mptcp.scheduler"),
    "path manager": ({"path_manager": "none"}, NotSupportedError, "net.mptcp.path_manager"),
    "intent": ({"intent": "handover"}, NotSupportedError, "use plait's own stack"),
    "user time-out": ({"user_timeout": 10**9}, NotSupportedError, "TCP_USER_TIMEOUT needs TCP"),
    "pacing": ({"pacing": True}, NotSupportedError, "no setting pacing"),
    "not live": ({"receive_buffer": 1 << 16}, UsageError, "cannot change on an open connection"),
    "unknown": ({"wings": 2}, UsageError, "no setting 'wings'"),
    "no such control": ({"congestion": "olia"}, NotSupportedError, "no congestion control 'olia'"),
}


@pytest.mark.parametrize(("settings", "kind", "why"), CHANGES.values(), ids=CHANGES.keys())
def test_changes_that_cannot_be_change_nothing(
    settings: dict[str, Any], kind: type[UsageError], why: str
) -> None:
    async def scenario(pair: Pair) -> None:
        sock = pair.here.transport.get_extra_info("socket")
        with pytest.raises(kind, match=re.escape(why)):
            pair.mine.change(nodelay=False, keepalive=True, **settings)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    in_pair(scenario)


def test_changes_reach_the_socket() -> None:
    async def scenario(pair: Pair) -> None:
        sock = pair.here.transport.get_extra_info("socket")
        pair.mine.change(congestion="reno", nodelay=False, keepalive=True)
        pair.mine.change(keepalive_idle=20 * 10**9)
        name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        assert name.rstrip(b"\0") == b"reno"
        assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20

    in_pair(scenario)


def test_plain_tcp_takes_a_user_timeout() -> None:
    async def scenario(pair: Pair) -> None:
        sock = pair.here.transport.get_extra_info("socket")
        pair.mine.change(user_timeout=1500 * 10**6)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500

    in_pair(scenario, mptcp=(False, False))
