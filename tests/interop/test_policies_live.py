"""Policies that change in the middle of a transfer to and from the kernel."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from hashlib import sha256
from itertools import zip_longest
from typing import Any

import pytest
from interop.lab import Ends, Lab, Plan, close, connect, greet, in_lab, until
from interop.rows import Case
from interop.test_policies import BUILTIN_MANAGERS, DELAYS, Paths

from plait.aio.transport import StackTransport
from plait.congestion import controllers
from plait.host.intents import INTENTS
from plait.scheduling import schedulers

pytestmark = pytest.mark.privileged

STEP = 0.04
"""Seconds from one change to the next: two round trips of an empty path."""

DRAINED = 0.15
"""Seconds after which nothing is on its way that an earlier policy sent."""

SPAN = 0.15
"""Seconds over which the use of the paths is measured."""

TRIES = 8
BLOCK = 1 << 15
MOVES = 30_000
"""Octets that a path carries in that time if it is used; a twelfth of what it could."""


class Stream:
    """Sends random octets one way for as long as the scenario likes."""

    def __init__(self, sender: Ends, receiver: Ends, seed: int, pause: float) -> None:
        self.stopping = False
        self._pause = pause
        self._sender = sender
        self._receiver = receiver
        self._dice = random.Random(seed)

    async def run(self) -> int:
        """Send until told to stop and return the octets; the hashes must be equal."""
        (sent, octets), arrived = await asyncio.gather(self._send(), self._receive())
        assert arrived == sent
        return octets

    async def _send(self) -> tuple[bytes, int]:
        hashed, octets = sha256(), 0
        writer = self._sender[1]
        while not self.stopping:
            block = self._dice.randbytes(BLOCK)
            hashed.update(block)
            octets += len(block)
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(self._pause)
        writer.write_eof()
        return hashed.digest(), octets

    async def _receive(self) -> bytes:
        hashed = sha256()
        while block := await self._receiver[0].read(BLOCK):
            hashed.update(block)
        return hashed.digest()


class Live:
    """A connection with a stream in either direction."""

    def __init__(self, case: Case, paths: Paths) -> None:
        self.case = case
        self.paths = paths
        transport = case.ours[1].transport
        assert isinstance(transport, StackTransport)
        self.change = transport.connection.change

    async def moved(self) -> list[int]:
        """Return the octets that each path carries from us in a while."""
        await asyncio.sleep(DRAINED)
        before = self.paths.carried(received=False)
        await asyncio.sleep(SPAN)
        after = self.paths.carried(received=False)
        return [now - then for now, then in zip(after, before, strict=True)]

    async def comes_to_move(self, *, both: bool) -> None:
        """Assert that the paths come to be used like that.

        On a busy machine a path may seem to fail for a moment, and the other one serves.
        """
        seen: list[list[int]] = []
        for _ in range(TRIES):
            first, second = moved = await self.moved()
            if first > MOVES and (second > MOVES if both else second == 0):
                return
            seen.append(moved)
        raise AssertionError(seen)

    async def copies(self) -> float:
        """Return how often an octet of the stream is sent, headers counted."""
        await asyncio.sleep(DRAINED)
        before = self._carried_and_acked()
        await asyncio.sleep(2 * SPAN)
        after = self._carried_and_acked()
        carried, acked = (now - then for now, then in zip(after, before, strict=True))
        return carried / acked

    def _carried_and_acked(self) -> tuple[int, int]:
        return sum(self.paths.carried(received=False)), self.case.connection.sender.snd_una


def while_streaming(
    script: Callable[[Live], Awaitable[None]],
    *,
    back: bool = True,
    pause: float = 0.0,
    **settings: Any,
) -> None:
    """Run a script beside a stream each way, neither of which may lose an octet.

    Args:
        script: What to do meanwhile.
        back: The kernel sends as well.
        pause: Seconds that a sender rests after each block.
        settings: Of the stack.
    """
    paths = Paths(DELAYS)
    plan = Plan(paths=2, checksum=False, settings=settings, wrap=paths.wrap)

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await greet(ours, theirs)
        streams = [Stream(ours, theirs, 1, pause)]
        if back:
            streams.append(Stream(theirs, ours, 2, pause))
        running = asyncio.gather(*(stream.run() for stream in streams))
        try:
            await script(Live(Case(lab, ours, theirs), paths))
        finally:
            for stream in streams:
                stream.stopping = True
        assert min(await running) > BLOCK
        if not back:
            theirs[1].write_eof()
        await close((ours, theirs))

    in_lab(plan, scenario)


def order(seed: int) -> list[tuple[str, str]]:
    """Return changes to every policy of each kind, in an order of chance."""
    dice = random.Random(seed)
    columns = [
        [(field, name) for name in dice.sample(names, len(names))]
        for field, names in (
            ("scheduler", schedulers.names()),
            ("congestion", controllers.names()),
            ("path_manager", BUILTIN_MANAGERS),
        )
    ]
    return [one for row in zip_longest(*columns) for one in row if one is not None]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_policy_takes_over_and_nothing_is_lost(seed: int) -> None:
    async def script(live: Live) -> None:
        for field, name in order(seed):
            live.change(**{field: name})
            await asyncio.sleep(STEP)
        connection = live.case.connection
        last = dict(order(seed))
        assert connection.scheduler.name == last["scheduler"]
        assert connection.path_manager.name == last["path_manager"]
        for subflow in connection.subflows:
            assert subflow.tcp.sender.controller.name == last["congestion"]
        assert not connection.troubles.failures

    while_streaming(script)


def test_every_intent_takes_over_and_nothing_is_lost() -> None:
    async def script(live: Live) -> None:
        for name in [*INTENTS, *reversed(INTENTS)]:
            live.change(intent=name)
            await asyncio.sleep(2 * STEP)

    while_streaming(script)


def test_the_second_path_falls_silent_and_is_used_again_as_the_scheduler_says() -> None:
    async def script(live: Live) -> None:
        await until(lambda: live.case.live() == 2)
        await live.comes_to_move(both=True)
        live.change(scheduler="active-standby")
        await live.comes_to_move(both=False)
        live.change(scheduler="round-robin")
        await live.comes_to_move(both=True)

    while_streaming(script, back=False, path_manager="interfaces")


def test_redundancy_doubles_what_is_sent_if_there_is_room() -> None:
    async def script(live: Live) -> None:
        await until(lambda: live.case.live() == 2)
        assert min([await live.copies() for _ in range(2)]) < 1.3
        live.change(scheduler="redundant")
        assert max([await live.copies() for _ in range(2)]) > 1.7

    while_streaming(script, back=False, pause=0.03, path_manager="interfaces")


def test_a_path_manager_that_takes_over_opens_the_second_path() -> None:
    async def script(live: Live) -> None:
        assert (await live.moved())[1] == 0
        live.change(path_manager="fullmesh")
        await until(lambda: live.case.live() == 2)
        await live.comes_to_move(both=True)

    while_streaming(script, back=False, path_manager="default")
