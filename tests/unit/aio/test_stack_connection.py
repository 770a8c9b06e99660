"""A connection of the stack as applications hold it, from either side."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from plait.aio.connection import Connection, connection_of
from plait.aio.stack import Stack
from plait.aio.stack_connection import StackConnection
from plait.aio.streams import open_connection, start_server
from plait.aio.transport import StackTransport
from plait.drivers.memory import pair
from plait.errors import UsageError
from plait.host.events import AddressWithdrawn, SubflowDown, SubflowUp
from plait.host.settings import Settings
from plait.linux.tcp_info import parse_tcp_info

HERE = ("10.0.0.1", "10.0.1.1")
THERE = ("10.0.0.2", "10.0.1.2")
MANUAL = Settings(path_manager="default")

Scenario = Callable[[StackConnection, StackConnection], Awaitable[None]]


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[tuple[asyncio.StreamWriter, ...]]:
    """Open one connection between stacks with two paths; yield both writers."""
    links = [pair([ip_address(a)], [ip_address(b)]) for a, b in zip(HERE, THERE, strict=True)]
    async with (
        Stack([here for here, _ in links], settings, bytes(32)) as one,
        Stack([there for _, there in links], MANUAL, b"\1" * 32) as other,
    ):
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        await start_server(lambda _, writer: accepted.put(writer), None, 80, stack=other)
        reader, writer = await open_connection(THERE[0], 80, stack=one)
        theirs = await accepted.get()
        theirs.write(b"?")
        await reader.readexactly(1)
        await asyncio.sleep(0.02)  # the first Data ACK
        yield writer, theirs
        for end in (writer, theirs):
            end.close()


def run(scenario: Scenario, settings: Settings = MANUAL) -> None:
    async def main() -> None:
        async with asyncio.timeout(10), connected(settings) as writers:
            ours, theirs = (connection_of(one) for one in writers)
            assert isinstance(ours, StackConnection)
            assert isinstance(theirs, StackConnection)
            await scenario(ours, theirs)

    asyncio.run(main())


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - snapshots give no notice
        await asyncio.sleep(0.001)


def test_both_sides_hold_one_and_it_is_that_of_the_transport() -> None:
    async def main() -> None:
        async with asyncio.timeout(10), connected(MANUAL) as writers:
            for writer in writers:
                transport = writer.transport
                assert isinstance(transport, StackTransport)
                assert connection_of(writer) is connection_of(transport) is transport.connection
                assert isinstance(transport.connection, Connection)
                assert transport.connection.info.backend == "stack"

    asyncio.run(main())


@pytest.mark.rfc("6897", "5.2", "M6897-5.2-03")
@pytest.mark.rfc("6897", "5.3.4", "M6897-5.3.4-01")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-04")
def test_paths_are_those_of_established_subflows_alone() -> None:
    async def scenario(ours: StackConnection, theirs: StackConnection) -> None:
        (first,) = ours.paths
        assert (str(first.local), str(first.remote)) == (HERE[0], THERE[0])
        made = ours.open_subflow(ip_address(HERE[1]), ip_address(THERE[1]))
        assert [one.id for one in ours.subflows()] == [1, made]
        assert not ours.subflows()[1].fully_established
        assert ours.paths == (first,)
        await until(lambda: len(ours.paths) == len(theirs.paths) == 2)
        second = list(ours.paths)[-1]
        assert second == ours.subflows()[1].path
        assert [one.version for path in ours.paths for one in (path.local, path.remote)] == [4] * 4

    run(scenario)


@pytest.mark.rfc("6897", "5.3.5", "M6897-5.3.5-01")
def test_connid_is_the_local_token() -> None:
    async def scenario(ours: StackConnection, theirs: StackConnection) -> None:
        assert ours.multipath
        assert ours.connid == ours.info.token != theirs.connid

    run(scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-08")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-11")
def test_subflows_are_opened_and_closed_from_the_accepting_side_and_events_tell() -> None:
    async def scenario(ours: StackConnection, theirs: StackConnection) -> None:
        events = [one.events() for one in (ours, theirs)]
        made = theirs.open_subflow(ip_address(THERE[1]), ip_address(HERE[1]), backup=True)
        await until(lambda: len(ours.paths) == len(theirs.paths) == 2)
        assert [one.low_prio for one in ours.subflows()] == [False, True]
        theirs.close_subflow(made)
        await until(lambda: len(ours.paths) == len(theirs.paths) == 1)
        for one in events:
            kinds = [happening.event for happening in one.take()]
            told = [kind for kind in kinds if isinstance(kind, SubflowUp | SubflowDown)]
            assert [type(kind) for kind in told] == [SubflowUp, SubflowUp, SubflowDown]
            assert told[1].path == told[2].path

    run(scenario)


@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-01")
@pytest.mark.rfc("6897", "5.3.3", "M6897-5.3.3-02")
def test_addresses_are_added_and_removed_by_hand() -> None:
    async def scenario(ours: StackConnection, theirs: StackConnection) -> None:
        assert len(ours.paths) == 1
        ours.add_addresses([(ip_address(HERE[1]), 4444)])
        await until(lambda: len(ours.paths) == 2)
        second = list(ours.paths)[-1]
        assert (str(second.local), second.local_port) == (HERE[1], 4444)
        events = theirs.events()
        ours.remove_addresses([ip_address(HERE[0])])
        async for one in events:
            if isinstance(one.event, AddressWithdrawn):
                assert str(one.event.address) == HERE[0]
                break
        assert [str(one.local) for one in ours.paths] == [HERE[1]]

    run(scenario, Settings(path_manager="fullmesh", local_addresses=HERE[0]))


@pytest.mark.rfc("6897", "7", "M6897-7-01")
def test_an_address_that_is_not_ours_is_not_available() -> None:
    async def scenario(ours: StackConnection, _: StackConnection) -> None:
        with pytest.raises(OSError, match=r"192\.0\.2\.1 is no address of this host") as raised:
            ours.add_addresses([ip_address("192.0.2.1")])
        assert raised.value.errno == errno.EADDRNOTAVAIL

    run(scenario)


@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-01")
@pytest.mark.rfc("6897", "4.2.2", "M6897-4.2.2-02")
def test_names_are_those_of_the_first_subflow_even_when_it_is_gone() -> None:
    async def main() -> None:
        async with asyncio.timeout(10), connected(MANUAL) as (writer, theirs):
            ends = [(one, connection_of(one)) for one in (writer, theirs)]
            names = [_names(one) for one, _ in ends]
            assert names[0][1][0] == HERE[0]
            assert names[0] == names[1][::-1]
            ends[0][1].open_subflow(ip_address(HERE[1]), ip_address(THERE[1]))
            await until(lambda: all(len(one.paths) == 2 for _, one in ends))
            ends[0][1].close_subflow(1, "rst")
            await until(lambda: all(len(one.paths) == 1 for _, one in ends))
            assert [_names(one) for one, _ in ends] == names
            for one, connection in ends:
                first = connection.info.subflows[0].path
                assert _names(one)[1] == (str(first.local), first.local_port)

    asyncio.run(main())


def _names(writer: asyncio.StreamWriter) -> tuple[tuple[str, int], tuple[str, int]]:
    return writer.get_extra_info("peername"), writer.get_extra_info("sockname")


# ---- options of one subflow

TCP = socket.IPPROTO_TCP
IP = socket.IPPROTO_IP
IPV6 = socket.IPPROTO_IPV6

OPTIONS: dict[str, tuple[tuple[int, int], int | bytes, int | bytes, int | bytes]] = {
    "IP_TOS": ((IP, socket.IP_TOS), 0, 0xB8, 0xB8),
    "IPV6_TCLASS": ((IPV6, socket.IPV6_TCLASS), 0, 0x20, 0x20),
    "IP_TTL": ((IP, socket.IP_TTL), 64, 9, 9),
    "IPV6_UNICAST_HOPS": ((IPV6, socket.IPV6_UNICAST_HOPS), 64, 255, 255),
    "TCP_CONGESTION": ((TCP, socket.TCP_CONGESTION), b"cubic", b"reno", b"reno"),
    "SO_KEEPALIVE": ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0, 1, 1),
    "TCP_KEEPIDLE": ((TCP, socket.TCP_KEEPIDLE), 7200, 30, 30),
    "TCP_KEEPINTVL": ((TCP, socket.TCP_KEEPINTVL), 75, 3, 3),
    "TCP_KEEPCNT": ((TCP, socket.TCP_KEEPCNT), 9, 2, 2),
    "TCP_USER_TIMEOUT": ((TCP, socket.TCP_USER_TIMEOUT), 0, 1500, 1500),
    "as octets": ((IP, socket.IP_TTL), 64, (17).to_bytes(4, "little"), 17),
}


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-06")
@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-07")
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_set_on_one_subflow_and_read_from_it(name: str) -> None:
    where, before, value, after = OPTIONS[name]

    async def scenario(ours: StackConnection, _: StackConnection) -> None:
        second = ours.open_subflow(ip_address(HERE[1]), ip_address(THERE[1]))
        assert ours.subflow_getsockopt(second, *where) == before
        ours.subflow_setsockopt(second, *where, value)
        assert ours.subflow_getsockopt(second, *where) == after
        assert ours.subflow_getsockopt(1, *where) == before

    run(scenario)


@pytest.mark.rfc("draft-hesmans-mptcp-socket", "", "HESM-06")
def test_tcp_info_of_one_subflow_is_the_structure_of_linux() -> None:
    async def scenario(ours: StackConnection, theirs: StackConnection) -> None:
        octets = ours.subflow_getsockopt(1, TCP, socket.TCP_INFO)
        assert isinstance(octets, bytes)
        assert parse_tcp_info(octets) == ours.info.subflows[0].tcp
        assert ours.subflow_getsockopt(1, TCP, socket.TCP_MAXSEG) > 500  # type: ignore[operator]
        assert theirs.subflow_getsockopt(1, TCP, socket.TCP_NODELAY) == 1

    run(scenario)


@pytest.mark.parametrize(
    "option", [(TCP, socket.TCP_NODELAY), (TCP, socket.TCP_INFO), (TCP, 9999), (IP, 9999)]
)
def test_options_that_one_subflow_cannot_have_are_no_protocol_options(
    option: Sequence[int],
) -> None:
    level, number = option

    async def scenario(ours: StackConnection, _: StackConnection) -> None:
        with pytest.raises(OSError, match="not available") as raised:
            ours.subflow_setsockopt(1, level, number, 0)
        assert raised.value.errno == errno.ENOPROTOOPT
        if number == 9999:
            with pytest.raises(OSError, match="not available") as raised:
                ours.subflow_getsockopt(1, level, number)
            assert raised.value.errno == errno.ENOPROTOOPT
        with pytest.raises(UsageError, match="between 1 and 255"):
            ours.subflow_setsockopt(1, IP, socket.IP_TTL, 0)
        with pytest.raises(UsageError, match="no subflow 9"):
            ours.subflow_getsockopt(9, IP, socket.IP_TTL)

    run(scenario)


def test_plain_tcp_has_no_subflows() -> None:
    async def scenario(ours: StackConnection, _: StackConnection) -> None:
        assert not ours.multipath
        for ask in (ours.subflows, lambda: ours.connid, lambda: ours.open_subflow(None)):
            with pytest.raises(UsageError, match="plain TCP"):
                ask()

    run(scenario, Settings(mptcp=False))
