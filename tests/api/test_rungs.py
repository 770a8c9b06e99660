"""The ladder and local addresses in a real world: what is taken, what it says, what it uses."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest
from support.api_world import World, echo, play, settled, until

from plait.aio.connection import connection_of
from plait.aio.kernel import Kernel
from plait.aio.ladder import use_stack
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.host.settings import Settings
from plait.mptcp.info import ConnectionInfo
from plait.units import SECOND

IMPATIENT = Settings(user_timeout=30 * SECOND)
REFUSED = "TCP_USER_TIMEOUT needs TCP: the kernel's Multipath TCP refuses it"
NO_STACK = "no stack is configured: see plait.use_stack"


async def told(
    port: int, host: str = "127.0.0.1", settings: Settings | None = None
) -> ConnectionInfo:
    """Return what an unmodified call connects over."""
    reader, writer = await open_connection(host, port, settings=settings)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    info = connection_of(writer).info
    writer.close()
    await writer.wait_closed()
    return info


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLAIT_BACKEND", raising=False)


@pytest.mark.rfc("6897", "5.2", "M6897-5.2-01")
@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-03")
def test_unmodified_calls_take_the_kernel_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(_: World) -> None:
        server = await start_server(echo, None, 0)
        info = await told(server.port)
        assert (info.backend, info.is_mptcp, info.fallback_reason) == ("kernel", True, None)
        info = await told(server.port, settings=Settings(mptcp=False))
        assert not info.is_mptcp
        assert info.fallback_reason == "Multipath TCP is off"
        monkeypatch.setenv("PLAIT_BACKEND", "stack,tcp")
        info = await told(server.port)
        assert (info.backend, info.is_mptcp) == ("tcp", False)
        assert info.fallback_reason == NO_STACK
        server.close()

    play("kernel", scenario)


def test_a_setting_that_the_kernel_refuses_leads_to_tcp() -> None:
    async def scenario(_: World) -> None:
        server = await start_server(echo, None, 0)
        info = await told(server.port, settings=IMPATIENT)
        assert info.backend == "tcp"
        assert info.fallback_reason == f"{REFUSED}; {NO_STACK}"
        server.close()

    play("kernel", scenario)


def test_or_to_a_stack_if_there_is_one() -> None:
    async def scenario(world: World) -> None:
        assert isinstance(world.server, Stack)
        await world.serve(echo)
        assert isinstance(world.client, Stack)
        with use_stack(world.client):
            info = await told(world.port, world.address, IMPATIENT)
        assert info.is_mptcp
        assert info.backend == "stack"
        assert info.fallback_reason == REFUSED

    play("stack", scenario)


def test_servers_climb_as_well_and_their_connections_say_why() -> None:
    async def scenario(_: World) -> None:
        accepted: asyncio.Queue[ConnectionInfo] = asyncio.Queue()

        def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.put_nowait(connection_of(writer).info)
            writer.close()

        server = await start_server(take, None, 0, settings=IMPATIENT)
        reader, writer = await open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""
        writer.close()
        info = await accepted.get()
        assert info.backend == "tcp"
        assert info.fallback_reason == f"{REFUSED}; {NO_STACK}"
        server.close()

    play("kernel", scenario)


def test_a_server_takes_both_protocols_on_one_port() -> None:
    async def scenario(world: World) -> None:
        accepted: asyncio.Queue[bool] = asyncio.Queue()

        def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.put_nowait(connection_of(writer).multipath)
            writer.close()

        await world.serve(take)
        for mptcp in (True, False):
            client = world.client if mptcp else Kernel(mptcp=False)
            await world.connect(backend=client)
            assert await accepted.get() is mptcp

    play("kernel", scenario)


@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-02")
@pytest.mark.rfc("6897", "5.2", "M6897-5.2-02")
@pytest.mark.parametrize("bound", [True, False], ids=["bound", "not bound"])
def test_a_stack_uses_none_but_the_local_addresses_given(*, bound: bool) -> None:
    async def scenario(world: World) -> None:
        local = world.local if bound else None
        here, _ = await settled(await world.both(local_addr=local))
        assert here.multipath
        if not bound:  # the control: what the other address would do
            await until(lambda: len({path.local for path in here.paths}) == 2)
            return
        await asyncio.sleep(0.2)
        assert {path.local for path in here.paths} == {ip_address(world.local)}

    play("stack", scenario)


@pytest.mark.rfc("8041", "3.9", "HE-08", "M8041-3.9-1")
def test_a_crippled_network_is_left_for_another() -> None:
    async def scenario(world: World) -> None:
        assert isinstance(world.client, Stack)
        await world.serve(echo)
        (first, _) = world.client._drivers
        first.lose = lambda _: True  # type: ignore[attr-defined]  # a memory driver has it
        reader, writer = await open_connection(
            "10.0.2.2",
            world.port,
            backend=world.client,
            local_addr=["10.0.1.1", "10.0.2.1"],
            happy_eyeballs_delay=0.05,
        )
        assert writer.get_extra_info("sockname")[0] == "10.0.2.1"
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()

    play("stack", scenario)


def test_an_address_that_is_gone_is_left_out() -> None:
    async def scenario(world: World) -> None:
        assert isinstance(world.client, Stack)
        await world.serve(echo)
        world.client.on_local_address(ip_address("10.0.1.1"), present=False)
        _, writer = await open_connection(
            "10.0.2.2", world.port, backend=world.client, local_addr=["10.0.1.1", "10.0.2.1"]
        )
        assert {path.local for path in connection_of(writer).paths} == {ip_address("10.0.2.1")}
        writer.close()

    play("stack", scenario)


@pytest.mark.rfc("8305", "5", "HE-06")
def test_falling_back_to_a_plain_syn_is_part_of_one_attempt() -> None:
    """A path that loses MP_CAPABLE costs retransmissions, and no second attempt."""

    async def scenario(world: World) -> None:
        assert isinstance(world.client, Stack)
        await world.serve(echo)
        offered = 0

        def lose(segment: object) -> bool:
            nonlocal offered
            options = getattr(segment, "options", ())
            capable = any(type(option).__name__ == "MpCapableSyn" for option in options)
            offered += capable
            return capable

        for driver in world.client._drivers:
            driver.lose = lose  # type: ignore[attr-defined]  # a memory driver has it
        _, writer = await world.connect(
            happy_eyeballs_delay=0.01, settings=Settings(mptcp_syn_tries=1)
        )
        assert offered >= 1
        assert world.client.counters.snapshot()["MPCapableSYNTX"] == 1
        assert not connection_of(writer).multipath

    play("stack", scenario, seconds=30)
