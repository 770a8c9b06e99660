from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from plait.aio.connection import connection_of
from plait.aio.stack import Stack
from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.drivers.memory import MemoryDriver, pair
from plait.errors import UsageError
from plait.host.settings import Settings
from plait.units import MILLISECOND
from plait.wire.mptcp.mp_capable import MpCapableAck, MpCapableData
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.segment import Segment

HERE = (ip_address("10.0.0.1"), ip_address("10.0.1.1"))
THERE = (ip_address("10.0.0.2"), ip_address("10.0.1.2"))
V6 = (ip_address("fd09::1"), ip_address("fd09::2"))


class Recorder(asyncio.Protocol):
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.calls: list[str] = []
        self.data = b""
        self.error: Exception | None = None
        self.arrived = asyncio.Event()
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.calls[-1] != "data":
            self.calls.append("data")
        self.data += data
        self.arrived.set()

    def eof_received(self) -> bool:
        self.calls.append("eof")
        self.ended.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.error = exc
        self.lost.set()


class Echo(Recorder):
    """Sends back what it gets."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


class Slammer(Recorder):
    """Aborts when it gets something."""

    def data_received(self, data: bytes) -> None:
        self.transport.abort()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(bounded())


async def round_trip(connection: tuple[asyncio.Transport, Recorder]) -> None:
    """Wait until both ends have seen the connection open."""
    transport, protocol = connection
    transport.write(b"?")
    await protocol.arrived.wait()


@asynccontextmanager
async def stacks(
    settings: Settings | None = None, *, paths: int = 1
) -> AsyncIterator[tuple[Stack, Stack, list[tuple[MemoryDriver, MemoryDriver]]]]:
    links = [pair([HERE[at]], [THERE[at]]) for at in range(paths)]
    async with (
        Stack([here for here, _ in links], settings, bytes(32)) as one,
        Stack([there for _, there in links], settings, b"\1" * 32) as other,
    ):
        yield one, other, links


@pytest.mark.parametrize("mptcp", [True, False])
def test_a_conversation(mptcp: bool) -> None:
    async def scenario() -> None:
        async with stacks(Settings(mptcp=mptcp)) as (one, other, _):
            accepted: list[Echo] = []

            def factory() -> Echo:
                accepted.append(Echo())
                return accepted[-1]

            server = await other.create_server(factory, None, 7)
            assert server.port == 7
            transport, protocol = await one.create_connection(Recorder, "10.0.0.2", 7)
            assert transport.get_extra_info("peername") == ("10.0.0.2", 7)
            assert transport.get_extra_info("sockname")[0] == "10.0.0.1"
            assert transport.get_extra_info("socket") is None
            info = one.info(transport)
            assert info.is_mptcp is mptcp
            data = bytes(range(256)) * 4000
            transport.write(data)
            transport.write_eof()
            await protocol.lost.wait()
            await accepted[0].lost.wait()
            assert protocol.data == data
            assert protocol.calls == ["made", "data", "eof", "lost"]
            assert accepted[0].calls == ["made", "data", "eof", "lost"]
            assert protocol.error is accepted[0].error is None
            assert connection_of(transport).info.bytes_received == len(data)

    run(scenario())


def test_two_paths_carry_one_connection() -> None:
    async def scenario() -> None:
        async with stacks(paths=2) as (one, other, _):
            await other.create_server(Echo, None, 7)
            transport, protocol = await one.create_connection(Recorder, "10.0.0.2", 7)
            while len(one.info(transport).subflows) < 2:
                transport.write(b"x")
                await asyncio.sleep(0.01)
            transport.write_eof()
            await protocol.ended.wait()

    run(scenario())


def test_an_unheard_port_refuses() -> None:
    async def scenario() -> None:
        async with stacks() as (one, _, _):
            with pytest.raises(ConnectionRefusedError):
                await one.create_connection(Recorder, "10.0.0.2", 8)

    run(scenario())


@pytest.mark.parametrize("mptcp", [True, False])
def test_the_peers_abort_is_a_reset(mptcp: bool) -> None:
    async def scenario() -> None:
        async with stacks(Settings(mptcp=mptcp)) as (one, other, _):
            server = await other.create_server(Slammer, None, 7)
            transport, protocol = await one.create_connection(Recorder, "10.0.0.2", 7)
            transport.write(b"x")
            await protocol.lost.wait()
            assert isinstance(protocol.error, ConnectionResetError)
            server.close()
            await server.wait_closed()

    run(scenario())


def test_abort_tells_its_own_protocol_none() -> None:
    async def scenario() -> None:
        async with stacks() as (one, other, _):
            await other.create_server(Recorder, None, 7)
            transport, protocol = await one.create_connection(Recorder, "10.0.0.2", 7)
            transport.abort()
            assert transport.is_closing()
            transport.write(b"ignored")
            await protocol.lost.wait()
            assert protocol.error is None
            assert one.info(transport).bytes_sent == 0

    run(scenario())


def test_close_delivers_what_was_written_before() -> None:
    async def scenario() -> None:
        async with stacks(Settings(send_buffer=100_000)) as (one, other, _):
            accepted: list[Recorder] = []

            def factory() -> Recorder:
                accepted.append(Recorder())
                return accepted[-1]

            await other.create_server(factory, None, 7)
            transport, protocol = await one.create_connection(Recorder, "10.0.0.2", 7)
            transport.write(bytes(3_000_000))
            assert transport.get_write_buffer_size() > 0
            transport.close()
            await protocol.lost.wait()
            await accepted[0].lost.wait()
            assert len(accepted[0].data) == 3_000_000

    run(scenario())


def test_closing_the_stack_aborts_what_does_not_end() -> None:
    async def scenario() -> None:
        (here, there) = pair([HERE[0]], [THERE[0]])
        one, other = Stack([here]), Stack([there])
        server = await other.create_server(Recorder, None, 7)
        _, protocol = await one.create_connection(Recorder, "10.0.0.2", 7)
        there.lose = lambda _: True  # the peer falls silent
        await one.close(0.1)
        assert protocol.calls[-1] == "lost"
        await other.close(0.1)
        assert not server.is_serving()
        with pytest.raises(UsageError, match="closed"):
            await one.create_connection(Recorder, "10.0.0.2", 7)

    run(scenario())


def test_closing_the_stack_ends_a_pending_connect() -> None:
    async def scenario() -> None:
        here, there = pair([HERE[0]], [THERE[0]])
        one = Stack([here])
        task = asyncio.create_task(one.create_connection(Recorder, "10.0.0.2", 7))
        await asyncio.sleep(0.01)
        await one.close(0.1)
        with pytest.raises(ConnectionAbortedError):
            await task
        there.close()

    run(scenario())


def test_a_canceled_connect_is_given_up() -> None:
    async def scenario() -> None:
        here, there = pair([HERE[0]], [THERE[0]])
        async with Stack([here]) as one:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await one.create_connection(Recorder, "10.0.0.2", 7)
            assert not one._openings
        there.close()

    run(scenario())


def test_a_failing_factory_fails_the_connect() -> None:
    def factory() -> Recorder:
        raise LookupError("no protocol")

    async def scenario() -> None:
        async with stacks() as (one, other, _):
            await other.create_server(Recorder, None, 7)
            with pytest.raises(LookupError):
                await one.create_connection(factory, "10.0.0.2", 7)

    run(scenario())


def test_a_failing_factory_of_a_server_resets_and_is_reported() -> None:
    def factory() -> Recorder:
        raise LookupError("no protocol")

    async def scenario() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reports.append(what))
        async with stacks() as (one, other, _):
            await other.create_server(factory, None, 7)
            _, protocol = await one.create_connection(Recorder, "10.0.0.2", 7)
            await protocol.lost.wait()
            assert isinstance(protocol.error, ConnectionResetError)
            assert isinstance(reports[0]["exception"], LookupError)

    run(scenario())


MISUSE = {
    "no family": ("fd09::9", None),
    "bad local": ("10.0.0.2", "here"),
    "foreign local": ("10.0.0.2", "10.9.9.9"),
}


@pytest.mark.parametrize(("host", "local"), MISUSE.values(), ids=MISUSE.keys())
def test_misuse_is_said_at_once(host: str, local: str | None) -> None:
    async def scenario() -> None:
        async with stacks() as (one, _, _):
            with pytest.raises(UsageError):
                await one.create_connection(Recorder, host, 7, local_addr=local)

    run(scenario())


def test_a_port_in_use_is_said_at_once_and_free_after_close() -> None:
    async def scenario() -> None:
        async with stacks() as (_, other, _):
            server = await other.create_server(Recorder, None, 7)
            with pytest.raises(UsageError):
                await other.create_server(Recorder, None, 7)
            async with server:
                pass
            await other.create_server(Recorder, "10.0.0.2", 7)

    run(scenario())


def test_port_0_lets_the_host_choose() -> None:
    async def scenario() -> None:
        async with stacks() as (one, other, _):
            server = await other.create_server(Echo, None, 0)
            assert server.port > 0
            await round_trip(await one.create_connection(Recorder, "10.0.0.2", server.port))

    run(scenario())


def test_names_are_resolved_and_numbers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        asked: list[tuple[str, int]] = []

        async def getaddrinfo(host: str, port: int, *, family: int, **_: Any) -> list[Any]:
            asked.append((host, family))
            return [(socket.AF_INET, 1, 6, "", ("10.0.0.2", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        async with stacks() as (one, other, _):
            await other.create_server(Echo, "10.0.0.2", 7)
            await round_trip(await one.create_connection(Recorder, "10.0.0.2", 7))
            assert asked == []
            transport, protocol = await one.create_connection(Recorder, "two.example", 7)
            await round_trip((transport, protocol))
            assert asked == [("two.example", socket.AF_INET)]  # the stack has no IPv6
            assert transport.get_extra_info("peername") == ("10.0.0.2", 7)

    run(scenario())


@contextmanager
def resolving(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> Iterator[None]:
    """Let every name have these IPv4 addresses."""

    async def getaddrinfo(_: str, port: int, **__: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (host, port)) for host in hosts]

    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        yield


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with stacks(paths=2) as (one, other, _):
            with resolving(monkeypatch, "10.0.1.2", "10.0.0.2"):
                await other.create_server(Recorder, "10.0.0.2", 7)
                transport, _ = await one.create_connection(Recorder, "two.example", 7)
                assert transport.get_extra_info("peername") == ("10.0.0.2", 7)
                both = r"connection refused \(tried 10.0.1.2, 10.0.0.2\)"
                with pytest.raises(ConnectionRefusedError, match=both):
                    await one.create_connection(Recorder, "two.example", 8)

    run(scenario())


@pytest.mark.rfc("8305", "5", "HE-04")
@pytest.mark.rfc("8305", "5", "HE-05")
@pytest.mark.rfc("8305", "5", "HE-07")
@pytest.mark.rfc("6897", "6.4", "M6897-6.4-01")
@pytest.mark.parametrize("delays", [(100, 0), (60, 50)], ids=["long after", "at one moment"])
def test_who_comes_second_is_aborted_and_never_joined(
    monkeypatch: pytest.MonkeyPatch, delays: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with stacks(paths=2) as (one, other, links):
            keys: set[bytes] = set()
            joined: set[bytes] = set()

            def watch(segment: Segment) -> bool:
                for option in segment.options:
                    if isinstance(option, MpCapableAck | MpCapableData):
                        keys.add(option.sender_key)
                    if isinstance(option, MpJoinSyn):
                        joined.add(segment.flow[4:8])
                return False

            links[0][0].lose = links[1][0].lose = watch
            for (here, _), delay in zip(links, delays, strict=True):
                here.delay = delay * MILLISECOND
            accepted: list[Recorder] = []

            def factory() -> Recorder:
                accepted.append(Recorder())
                return accepted[-1]

            made: list[Recorder] = []

            def make() -> Recorder:
                made.append(Recorder())
                return made[-1]

            quiet = Settings(path_manager="default")  # tells nobody of its other address
            await other.create_server(factory, None, 7, settings=quiet)
            with resolving(monkeypatch, "10.0.0.2", "10.0.1.2"):
                transport, _ = await one.create_connection(
                    make, "two.example", 7, happy_eyeballs_delay=0.01
                )
            winner = ip_address(transport.get_extra_info("peername")[0])
            transport.write(b"x")
            await asyncio.sleep(0.25)
            assert len(made) == 1
            assert len(one._transports) == 1
            assert len([end for end in accepted if not end.lost.is_set()]) == 1
            assert len(keys) == len(accepted)
            assert joined == {winner.packed}
            transport.abort()

    run(scenario())


def test_ipv6() -> None:
    async def scenario() -> None:
        here, there = pair([V6[0]], [V6[1]])
        async with Stack([here]) as one, Stack([there]) as other:
            await other.create_server(Echo, "fd09::2", 7)
            transport, protocol = await one.create_connection(Recorder, "fd09::2", 7)
            assert transport.get_extra_info("peername") == ("fd09::2", 7, 0, 0)
            transport.write(b"hello")
            transport.write_eof()
            await protocol.ended.wait()
            assert protocol.data == b"hello"

    run(scenario())


def test_over_an_emulated_path() -> None:
    async def scenario() -> None:
        here, there = pair([HERE[0]], [THERE[0]])
        shape = LinkShape(rate=200_000_000, delay=5 * MILLISECOND, loss=0.001)
        drivers: list[Driver] = [Emulation(here, shape)]
        async with Stack(drivers) as one, Stack([there]) as other:
            await other.create_server(Echo, None, 7)
            loop = asyncio.get_running_loop()
            started = loop.time()
            transport, protocol = await one.create_connection(Recorder, "10.0.0.2", 7)
            assert loop.time() - started >= 0.01
            transport.write(bytes(1_000_000))
            transport.write_eof()
            await protocol.ended.wait()
            assert len(protocol.data) == 1_000_000

    run(scenario())
