"""What an application may do to an open connection, and what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from itertools import islice

import pytest

from plait.aio.happenings import KEPT, MAX_WAITING, Happening, Happenings
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.aio.transport import StackTransport
from plait.drivers.memory import pair
from plait.errors import PlaitError, UnknownNameError, UsageError
from plait.host.events import (
    AddressWithdrawn,
    Closed,
    Event,
    Lost,
    SubflowDown,
    SubflowPriority,
    SubflowUp,
)
from plait.host.settings import Settings

HERE = ("10.0.0.1", "10.0.1.1")
THERE = ("10.0.0.2", "10.0.1.2")


class Both:
    """Both ends of one connection, and the transport of ours."""

    def __init__(
        self, stack: Stack, ours: asyncio.StreamWriter, theirs: asyncio.StreamWriter
    ) -> None:
        self.stack = stack
        self.writers = (ours, theirs)
        one, other = ours.transport, theirs.transport
        assert isinstance(one, StackTransport)
        assert isinstance(other, StackTransport)
        self.transport = one
        self.ours = one.connection
        self.theirs = other.connection


@asynccontextmanager
async def connected(settings: Settings | None = None) -> AsyncIterator[Both]:
    """Open one connection over two paths."""
    links = [
        pair([ip_address(here)], [ip_address(there)])
        for here, there in zip(HERE, THERE, strict=True)
    ]
    async with (
        Stack([here for here, _ in links], settings, bytes(32)) as one,
        Stack([there for _, there in links], None, b"\1" * 32) as other,
    ):
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        await start_server(lambda _, writer: accepted.put(writer), None, 80, stack=other)
        reader, writer = await open_connection(THERE[0], 80, stack=one)
        theirs = await accepted.get()
        for _ in range(2):  # joins wait for the first Data ACK
            theirs.write(b"?")
            await reader.readexactly(1)
        yield Both(one, writer, theirs)
        for end in (writer, theirs):
            end.close()


def run(scenario: Callable[[Both], Awaitable[None]], settings: Settings | None = None) -> None:
    async def main() -> None:
        async with asyncio.timeout(10), connected(settings) as both:
            await scenario(both)

    asyncio.run(main())


async def first(happenings: Happenings, kind: type[Event]) -> Event:
    """Return the first event of a kind, and fail if the connection ends without."""
    async for happening in happenings:
        if isinstance(happening.event, kind):
            return happening.event
    raise AssertionError(kind)


def test_policies_change_and_a_new_path_manager_joins() -> None:
    async def scenario(both: Both) -> None:
        assert len(both.ours.info.subflows) == 1
        both.ours.change(path_manager="fullmesh", scheduler="blest", congestion="lia")
        happenings = both.ours.events()
        up = [await first(happenings, SubflowUp) for _ in range(2)]
        assert {str(one.path.local) for one in up if isinstance(one, SubflowUp)} == set(HERE)
        assert both.ours.settings.scheduler == "blest"
        assert both.theirs.settings == Settings()

    run(scenario, Settings(path_manager="default"))


def test_an_intent_is_three_policies_and_what_is_said_beside_it_prevails() -> None:
    async def scenario(both: Both) -> None:
        both.ours.change(intent="handover", congestion="reno")
        chosen = both.ours.settings
        assert (chosen.path_manager, chosen.scheduler, chosen.congestion) == (
            "interfaces:backup=yes",
            "active-standby",
            "reno",
        )

    run(scenario)


MISTAKES: dict[str, tuple[dict[str, str], type[PlaitError], str]] = {
    "a scheduler nobody knows": ({"scheduler": "x"}, UnknownNameError, "unknown scheduler"),
    "a controller nobody knows": ({"congestion": "x"}, UnknownNameError, "unknown congestion"),
    "an intent nobody knows": ({"intent": "x"}, UnknownNameError, "unknown intent"),
    "a setting that is none": ({"colour": "x"}, UsageError, "no such setting: colour"),
    "what the handshake settled": ({"advertise": "10.0.0.9"}, UsageError, "before the connection"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named_and_change_nothing(name: str) -> None:
    wrong, kind, text = MISTAKES[name]

    async def scenario(both: Both) -> None:
        before = both.ours.settings
        with pytest.raises(kind, match=text):
            both.ours.change(**wrong)
        assert both.ours.settings == before

    run(scenario)


def test_the_peer_hears_that_a_subflow_is_to_be_spared() -> None:
    async def scenario(both: Both) -> None:
        happenings = both.ours.events()
        _, up = [await first(happenings, SubflowUp) for _ in HERE]
        assert isinstance(up, SubflowUp)
        both.ours.set_backup(2, backup=True)
        told = await first(both.theirs.events(), SubflowPriority)
        assert isinstance(told, SubflowPriority)
        assert (told.backup, told.path.remote_port) == (True, up.path.local_port)

    run(scenario)


def test_an_address_is_given_up() -> None:
    async def scenario(both: Both) -> None:
        happenings = both.ours.events()
        for _ in HERE:
            await first(happenings, SubflowUp)
        both.ours.remove_addresses([ip_address(HERE[0])])
        gone = await first(both.theirs.events(), AddressWithdrawn)
        assert isinstance(gone, AddressWithdrawn)
        assert str(gone.address) == HERE[0]
        down = await first(happenings, SubflowDown)
        assert isinstance(down, SubflowDown)
        with pytest.raises(UsageError, match="add another address first"):
            both.ours.remove_addresses([ip_address(HERE[1])])

    run(scenario)


def test_an_address_that_goes_takes_its_subflow_along_and_comes_back_with_one() -> None:
    async def scenario(both: Both) -> None:
        happenings = both.ours.events()
        for _ in HERE:
            await first(happenings, SubflowUp)
        second = ip_address(HERE[1])
        both.stack.on_local_address(second, present=False)
        down = await first(happenings, SubflowDown)
        assert isinstance(down, SubflowDown)
        assert down.path.local == second
        both.stack.on_local_address(second, present=True)
        up = await first(happenings, SubflowUp)
        assert isinstance(up, SubflowUp)
        assert up.path.local == second
        with pytest.raises(UsageError, match="no address of this stack"):
            both.stack.on_local_address(ip_address(THERE[0]), present=False)

    run(scenario)


def test_happenings_end_with_the_connection_and_can_be_asked_for_afterwards() -> None:
    async def scenario(both: Both) -> None:
        live = both.ours.events()
        for writer in both.writers:
            writer.close()
        seen = [happening async for happening in live]
        assert isinstance(seen[-1].event, Closed)
        assert [one.at for one in seen] == sorted(one.at for one in seen)
        assert [happening async for happening in both.ours.events()] == seen
        with pytest.raises(UsageError, match="ended"):
            both.ours.change(scheduler="blest")
        with pytest.raises(UsageError, match="ended"):
            both.ours.remove_addresses([ip_address(HERE[0])])

    run(scenario)


def test_an_abort_ends_them_on_both_sides() -> None:
    async def scenario(both: Both) -> None:
        followed = [one.events() for one in (both.ours, both.theirs)]
        both.transport.abort()
        for happenings in followed:
            assert isinstance([one async for one in happenings][-1].event, Lost)

    run(scenario)


def test_a_reader_that_sleeps_misses_the_oldest_and_knows() -> None:
    event = Closed.__new__(Closed)
    told = [Happening(at, event) for at in range(MAX_WAITING + 3)]

    async def read() -> None:
        happenings = Happenings(told[:KEPT], ended=False)
        for one in islice(told, KEPT, None):
            happenings.add(one)
        happenings.end()
        assert [one async for one in happenings] == told[3:]
        assert happenings.missed == 3

    asyncio.run(read())
