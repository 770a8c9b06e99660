"""Close, half-close and abort, seen from both sides, in both roles."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest
from interop.lab import Ends, Lab, Plan, close, connect, greet, in_lab, send, subflows_up
from interop.rows import CALLS, SERVES, Counted, counts, heard, joined_by_kernel, joined_by_us

from plait.aio.streams import open_connection

pytestmark = pytest.mark.privileged

LINGER_ZERO = struct.pack("ii", 1, 0)
ROLES = pytest.mark.parametrize("connects", [True, False], ids=["we connect", "it connects"])
PATHS = pytest.mark.parametrize("paths", [1, 2])


RACE = {1: frozenset[str](), 2: frozenset({"MPFastcloseRx", "MPRstRx", "MPRstTx"})}
"""With two subflows the kernel resets the second one, or hears our RST on it first."""


def clean(connects: bool, paths: int) -> Counted:
    """Return the counters of a connection that ends in order."""
    opened = SERVES if connects else CALLS
    if paths == 1:
        return opened
    return opened | (joined_by_us() if connects else joined_by_kernel() | heard())


def between(
    scenario: Callable[[Lab, Ends, Ends], Awaitable[None]],
    connects: bool,
    paths: int,
    extra: Counted | None = None,
    noise: frozenset[str] = frozenset(),
) -> None:
    """Run a scenario on an open connection, then judge the kernel's counters."""

    async def run(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=connects)
        await greet(ours, theirs)
        await subflows_up(lab, ours, theirs, paths)
        await scenario(lab, ours, theirs)
        await counts(lab, clean(connects, paths) | (extra or {}), noise)

    in_lab(Plan(paths=paths), run)


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-02")
@PATHS
@pytest.mark.parametrize("stack_first", [True, False], ids=["stack first", "kernel first"])
@ROLES
def test_half_close_leaves_the_other_direction_open(
    connects: bool, stack_first: bool, paths: int
) -> None:
    async def scenario(_: Lab, ours: Ends, theirs: Ends) -> None:
        first, second = (ours, theirs) if stack_first else (theirs, ours)
        await send(first, b"last words")
        assert await second[0].read() == b"last words"
        await asyncio.sleep(0.1)
        await send(second, b"y" * 100_000)
        assert await first[0].read() == b"y" * 100_000
        await close((ours, theirs))

    between(scenario, connects, paths)


@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-02")
@PATHS
@ROLES
def test_both_close_at_once(connects: bool, paths: int) -> None:
    async def scenario(_: Lab, ours: Ends, theirs: Ends) -> None:
        data = random.Random(3).randbytes(200_000)
        for end in (ours, theirs):
            end[1].write(data)
            end[1].write_eof()
        here, there = await asyncio.gather(ours[0].read(), theirs[0].read())
        assert here == there == data
        await close((ours, theirs))

    between(scenario, connects, paths)


@pytest.mark.rfc("8684", "3.5", "M8684-3.5-01")
@PATHS
@ROLES
def test_our_abort_resets_the_peer(connects: bool, paths: int) -> None:
    async def scenario(lab: Lab, ours: Ends, theirs: Ends) -> None:
        ours[1].transport.abort()
        with pytest.raises(ConnectionResetError):
            await theirs[0].read()
        assert lab.counted()["MPFastcloseRx"] in {1, paths}

    between(scenario, connects, paths, {"MPFastcloseRx": 1, "MPRstRx": 1}, noise=RACE[paths])


@pytest.mark.rfc("8684", "3.5", "M8684-3.5-05")
@pytest.mark.rfc("8684", "3.5", "M8684-3.5-12")
@PATHS
@ROLES
def test_the_peers_abort_resets_us(connects: bool, paths: int) -> None:
    async def scenario(lab: Lab, ours: Ends, theirs: Ends) -> None:
        sock = theirs[1].get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        theirs[1].close()
        with pytest.raises(ConnectionResetError):
            await ours[0].read()
        assert lab.stack.counters.mp_fastclose_rx == 1

    between(scenario, connects, paths, {"MPFastcloseTx": paths, "MPRstTx": paths})


@ROLES
def test_many_short_connections(connects: bool) -> None:
    count = 40

    async def scenario(lab: Lab) -> None:
        accepted = await lab.serve(lab.kernel if connects else lab.stack)
        address = lab.plan.kernel_address() if connects else lab.plan.stack_address()
        caller = lab.stack if connects else lab.kernel

        async def call(number: int) -> None:
            reader, writer = await open_connection(address, lab.port, backend=caller)
            request = random.Random(number).randbytes(1000)
            await send((reader, writer), request)
            assert await reader.read() == request
            writer.close()
            await writer.wait_closed()

        async def answer() -> None:
            reader, writer = await accepted.get()
            await send((reader, writer), await reader.read())
            writer.close()
            await writer.wait_closed()

        calls = (call(number) for number in range(count))
        await asyncio.gather(*calls, *(answer() for _ in range(count)))
        await counts(lab, dict.fromkeys(clean(connects, 1), count))

    in_lab(Plan(), scenario)


def test_nobody_listens() -> None:
    async def scenario(lab: Lab) -> None:
        with pytest.raises(ConnectionRefusedError):
            await lab.stack.create_connection(asyncio.Protocol, lab.plan.kernel_address(), 9)
        with pytest.raises(ConnectionRefusedError):
            await lab.kernel.create_connection(asyncio.Protocol, lab.plan.stack_address(), 9)
        await counts(lab, {"MPCapableSYNTX": 1})

    in_lab(Plan(), scenario)
