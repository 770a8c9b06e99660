"""What fails: the errors asyncio programs expect, and nothing left behind."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from support.api_world import (
    RESET,
    Scenario,
    World,
    client_context,
    descriptors,
    echo,
    server_context,
    silence,
    until,
)

from plait.aio.streams import open_connection

Run = Callable[[Scenario[Any]], Any]


def test_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        message = f"cannot connect to {world.address} port 9: connection refused"
        with pytest.raises(ConnectionRefusedError, match=message) as raised:
            await open_connection(world.address, 9, backend=world.client)
        assert raised.value.errno == errno.ECONNREFUSED

    run(scenario)


def test_unreachable(run: Run) -> None:
    async def scenario(world: World) -> None:
        connecting = open_connection("192.0.2.1", 9, backend=world.client, timeout=0.2)
        if world.differs("unreachable"):
            with pytest.raises(TimeoutError, match="no answer within"):
                await connecting
            return
        with pytest.raises(OSError, match=r"192\.0\.2\.1 port 9: network is unreachable") as raised:
            await connecting
        assert raised.value.errno == errno.ENETUNREACH

    run(scenario)


def test_timed_out(run: Run) -> None:
    async def scenario(world: World) -> None:
        with silence(world) as (host, port), pytest.raises(TimeoutError) as raised:
            await open_connection(host, port, backend=world.client, timeout=0.2)
        assert raised.value.errno == errno.ETIMEDOUT
        expected = f"cannot connect to {host} port {port}: no answer within 0.2 s"
        assert raised.value.strerror == expected

    run(scenario)


def test_a_reset_is_an_error_for_the_reader(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, there = await world.both()
        sock = there[1].get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        here[1].write(b"x")
        await there[0].read(1)
        there[1].transport.abort()
        with pytest.raises(ConnectionResetError):
            await here[0].read()

    run(scenario)


def test_a_client_that_aborts(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, there = await world.both()
        here[1].write(b"x")
        assert await there[0].read(1) == b"x"
        here[1].transport.abort()
        if world.differs("abort"):
            assert await there[0].read() == b""
        else:
            with pytest.raises(ConnectionResetError):
                await there[0].read()

    run(scenario)


def test_a_peer_that_closes_is_the_end(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, there = await world.both()
        there[1].close()
        await there[1].wait_closed()
        assert await here[0].read() == b""

        async def go_on() -> None:
            for _ in range(20):
                here[1].write(bytes(1000))
                await here[1].drain()
                await asyncio.sleep(0.01)

        if world.differs("late data"):
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                await go_on()
        else:
            await go_on()

    run(scenario)


POINTS = {
    "at once": 0,
    "one turn later": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "six": 6,
    "eight": 8,
    "twelve": 12,
    "twenty": 20,
}
"""Turns of the loop until the attempt is canceled."""


@pytest.mark.parametrize("tls", [False, True], ids=["", "TLS"])
@pytest.mark.parametrize("host", ["number", "name"])
def test_canceling_leaves_nothing(run: Run, host: str, *, tls: bool) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo, ssl=server_context() if tls else None)
        reader, writer = await world.connect(
            ssl=client_context() if tls else None, server_hostname="localhost" if tls else None
        )
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.transport.abort()
        await until(lambda: not _open(world))
        tasks, before = len(asyncio.all_tasks()), descriptors()
        for turns in POINTS.values():
            await _cancel(world, turns, host, tls=tls)
        await until(lambda: not _open(world))
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        await until(lambda: descriptors() <= before)

    run(scenario)


async def _cancel(world: World, turns: int, host: str, *, tls: bool) -> None:
    """Connect and think better of it."""
    options: dict[str, Any] = {"ssl": client_context()} if tls else {}
    name = world.address if host == "number" else "localhost"
    task = asyncio.ensure_future(open_connection(name, world.port, backend=world.client, **options))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError, OSError):
        _, writer = await task
        writer.transport.abort()


def _open(world: World) -> int:
    """Return how many connections the stacks have that somebody could hold."""
    ends = (world.client, world.server)
    return sum(len(getattr(end, name, ())) for end in ends for name in ("_openings", "_transports"))


def test_random_cancellations_leave_nothing(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        dice = random.Random(11)

        async def call() -> None:
            with suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(dice.random() * 0.01):
                    reader, writer = await world.connect()
                    writer.write(b"x" * 100)
                    await reader.readexactly(100)
            await asyncio.sleep(0)

        await call()
        await asyncio.sleep(0.05)
        for _ in range(10):
            await asyncio.gather(*(call() for _ in range(10)))
        for writer in world.writers:
            with suppress(AttributeError):
                writer.transport.abort()
        await until(lambda: not _open(world))
        await until(lambda: len(asyncio.all_tasks()) <= 2)

    run(scenario)
