"""Races in virtual time: who is tried when, who wins, and what becomes of the others."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_loop import run

from plait.aio import eyeballs
from plait.aio.eyeballs import FAMILIES, SocketAddress, Target, Winners, local_addresses
from plait.errors import UsageError

V6, V4 = map(int, FAMILIES)
NEVER = 1e6
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
REFUSED = errno.ECONNREFUSED
UNREACHABLE = errno.ENETUNREACH


@dataclass
class Net:
    """What the resolver and the hosts do, and what was asked of them."""

    answers: dict[int, tuple[float, Any]]
    """By family: seconds until the answer, and addresses or an error."""

    hosts: dict[str, tuple[float, int]]
    """Seconds until an attempt has an outcome, and its error number, 0 for success."""

    started: list[tuple[float, str]] = field(default_factory=list)
    """Seconds and address of every attempt, in order."""

    open: set[str] = field(default_factory=set)
    """Attempts and connections that nobody took back."""

    async def lookup(self, host: str, port: int, family: int) -> Sequence[SocketAddress]:
        after, answer = self.answers[family]
        await asyncio.sleep(after)
        if isinstance(answer, OSError):
            raise answer
        return [(address, port) for address in answer]

    async def attempt(self, target: Target) -> str:
        name = str(target)
        self.started.append((round(asyncio.get_running_loop().time(), 3), name))
        self.open.add(name)
        after, number = self.hosts[name]
        try:
            await asyncio.sleep(after)
        except asyncio.CancelledError:
            self.open.remove(name)
            raise
        if number:
            self.open.remove(name)
            raise OSError(number, os.strerror(number))
        return name

    async def connect(self, host: str = "two.example", **options: Any) -> str:
        options.setdefault("winners", Winners())
        return await eyeballs.connect(
            host, 7, self.attempt, self.open.remove, lookup=self.lookup, **options
        )


BOTH = {V6: (0.0, ["::1", "::2"]), V4: (0.0, ["1.1.1.1", "2.2.2.2"])}

RACES: dict[str, tuple[Net, dict[str, Any], str, list[tuple[float, str]]]] = {
    "the first answers at once": (
        Net(BOTH, {"::1": (0.1, 0)}),
        {},
        "::1",
        [(0, "::1")],
    ),
    "families take turns, a delay apart": (
        Net(BOTH, {"::1": (9, 0), "1.1.1.1": (9, 0), "::2": (9, 0), "2.2.2.2": (0.1, 0)}),
        {},
        "2.2.2.2",
        [(0, "::1"), (0.25, "1.1.1.1"), (0.5, "::2"), (0.75, "2.2.2.2")],
    ),
    "after a failure there is no delay": (
        Net(BOTH, {"::1": (0.1, UNREACHABLE), "1.1.1.1": (0.1, REFUSED), "::2": (0.1, 0)}),
        {},
        "::2",
        [(0, "::1"), (0.1, "1.1.1.1"), (0.2, "::2")],
    ),
    "a failure does not hurry the attempt after next": (
        Net(BOTH, {"::1": (0.1, REFUSED), "1.1.1.1": (9, 0), "::2": (0.1, 0)}),
        {},
        "::2",
        [(0, "::1"), (0.1, "1.1.1.1"), (0.35, "::2")],
    ),
    "one after the other": (
        Net(BOTH, {"::1": (30, errno.ETIMEDOUT), "1.1.1.1": (30, 0)}),
        {"delay": None},
        "1.1.1.1",
        [(0, "::1"), (30, "1.1.1.1")],
    ),
    "another delay": (
        Net(BOTH, {"::1": (30, 0), "1.1.1.1": (1, 0)}),
        {"delay": 2.0},
        "1.1.1.1",
        [(0, "::1"), (2, "1.1.1.1")],
    ),
    "an early A waits for AAAA": (
        Net({V6: (0.04, ["::1"]), V4: (0.0, ["1.1.1.1"])}, {"::1": (0.1, 0)}),
        {},
        "::1",
        [(0.04, "::1")],
    ),
    "but no longer than 50 ms": (
        Net({V6: (0.2, ["::1"]), V4: (0.1, ["1.1.1.1"])}, {"1.1.1.1": (0.1, 0)}),
        {},
        "1.1.1.1",
        [(0.15, "1.1.1.1")],
    ),
    "a late AAAA has its turn": (
        Net(
            {V6: (0.2, ["::1"]), V4: (0.0, ["1.1.1.1", "2.2.2.2"])},
            {"1.1.1.1": (9, 0), "::1": (0.1, 0)},
        ),
        {},
        "::1",
        [(0.05, "1.1.1.1"), (0.3, "::1")],
    ),
    "no AAAA, no delay": (
        Net({V6: (0.01, NO_NAME), V4: (0.0, ["1.1.1.1"])}, {"1.1.1.1": (0.1, 0)}),
        {},
        "1.1.1.1",
        [(0.01, "1.1.1.1")],
    ),
    "AAAA does not wait for A": (
        Net({V6: (0.01, ["::1"]), V4: (NEVER, [])}, {"::1": (0.1, 0)}),
        {},
        "::1",
        [(0.01, "::1")],
    ),
    "a number is not looked up": (
        Net({}, {"9.9.9.9": (0.1, 0)}),
        {"host": "9.9.9.9"},
        "9.9.9.9",
        [(0, "9.9.9.9")],
    ),
    "another interface": (
        Net(
            {V4: (0.0, ["1.1.1.1"])},
            {"1.1.1.1 from 10.0.0.1": (NEVER, 0), "1.1.1.1 from 10.0.1.1": (0.1, 0)},
        ),
        {"local": local_addresses(["10.0.0.1", "fd09::1", ("10.0.1.1", 5)]), "families": [V4]},
        "1.1.1.1 from 10.0.1.1",
        [(0, "1.1.1.1 from 10.0.0.1"), (0.25, "1.1.1.1 from 10.0.1.1")],
    ),
}


@pytest.mark.rfc("8305", "3", "HE-01")
@pytest.mark.rfc("8305", "4", "HE-02")
@pytest.mark.rfc("8305", "5", "HE-03", "HE-04")
@pytest.mark.rfc("8041", "3.9", "HE-08", "M8041-3.9-1")
@pytest.mark.parametrize(("net", "options", "winner", "started"), RACES.values(), ids=RACES.keys())
def test_race(
    net: Net, options: dict[str, Any], winner: str, started: list[tuple[float, str]]
) -> None:
    async def scenario() -> None:
        assert await net.connect(**options) == winner
        assert len(asyncio.all_tasks()) == 1

    run(scenario())
    assert net.started == started
    assert net.open == {winner}


def test_two_that_answer_at_one_moment_leave_one() -> None:
    net = Net(BOTH, {"::1": (1.0, 0), "1.1.1.1": (0.75, 0), "::2": (9, 0), "2.2.2.2": (9, 0)})
    assert run(net.connect()) in {"::1", "1.1.1.1"}
    assert len(net.open) == 1


LOST: dict[str, tuple[Net, dict[str, Any], type[Exception], str]] = {
    "one address": (
        Net({}, {"9.9.9.9": (0, REFUSED)}),
        {"host": "9.9.9.9"},
        ConnectionRefusedError,
        "[Errno 111] cannot connect to 9.9.9.9 port 7: connection refused",
    ),
    "one address from one of ours": (
        Net({}, {"9.9.9.9 from 10.0.0.1": (0, UNREACHABLE)}),
        {"host": "9.9.9.9", "local": local_addresses("10.0.0.1")},
        OSError,
        "[Errno 101] cannot connect to 9.9.9.9 port 7 from 10.0.0.1: network is unreachable",
    ),
    "all for one reason": (
        Net(BOTH, dict.fromkeys(["::1", "1.1.1.1", "::2", "2.2.2.2"], (0, REFUSED))),
        {},
        ConnectionRefusedError,
        (
            "[Errno 111] cannot connect to two.example port 7: connection refused "
            "(tried ::1, 1.1.1.1, ::2, 2.2.2.2)"
        ),
    ),
    "for several reasons": (
        Net(
            {V6: (0, ["::1"]), V4: (0, ["1.1.1.1"])},
            {"::1": (0, UNREACHABLE), "1.1.1.1": (0, errno.ETIMEDOUT)},
        ),
        {},
        OSError,
        (
            "cannot connect to two.example port 7: ::1: network is unreachable; "
            "1.1.1.1: connection timed out"
        ),
    ),
    "no such name": (
        Net({V6: (0.1, NO_NAME), V4: (0, NO_NAME)}, {}),
        {},
        socket.gaierror,
        "[Errno -2] cannot resolve two.example: Name or service not known",
    ),
    "no address of the family": (
        Net({}, {}),
        {"host": "9.9.9.9", "local": local_addresses("fd09::1")},
        UsageError,
        "9.9.9.9 has no address of the family of fd09::1",
    ),
    "a name without addresses": (
        Net({V6: (0, []), V4: (0, [])}, {}),
        {},
        UsageError,
        "two.example has no address of a family that can be served here",
    ),
    "too impatient": (
        Net(BOTH, {}),
        {"delay": 0.001},
        UsageError,
        (
            "happy_eyeballs_delay is 0.001 s: choose 0.01 to 2.0, or None to wait until an attempt "
            "has failed"
        ),
    ),
}


@pytest.mark.rfc("8305", "5", "HE-03")
@pytest.mark.parametrize(("net", "options", "kind", "message"), LOST.values(), ids=LOST.keys())
def test_a_lost_race_is_told_whole(
    net: Net, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as raised:
        run(net.connect(**options))
    assert str(raised.value) == message
    assert type(raised.value) is kind
    assert net.open == set()


def ignore(_: str) -> None:
    """Nothing is left to take back."""


def test_misuse_is_raised_if_no_attempt_could_begin() -> None:
    async def attempt(target: Target) -> str:
        if target.family == V6:
            raise UsageError("no IPv6 here")
        await asyncio.sleep(0)
        raise OSError(REFUSED, "")

    async def scenario(families: Sequence[int]) -> None:
        net = Net(BOTH, {})
        await eyeballs.connect(
            "two.example",
            7,
            attempt,
            ignore,
            families=families,
            lookup=net.lookup,
            winners=Winners(),
        )

    with pytest.raises(UsageError, match="no IPv6 here"):
        run(scenario([V6]))
    with pytest.raises(ConnectionRefusedError, match=r"tried 1.1.1.1, 2.2.2.2"):
        run(scenario(FAMILIES))


def test_other_errors_are_the_callers() -> None:
    async def attempt(_: Target) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(eyeballs.connect("9.9.9.9", 7, attempt, ignore))


MOMENTS = [0.0, 0.02, 0.1, 0.3, 0.6, 1.0]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_canceled_race_leaves_nothing(moment: float) -> None:
    hosts = dict.fromkeys(["::1", "1.1.1.1", "::2", "2.2.2.2"], (NEVER, 0))
    net = Net({V6: (0.05, ["::1", "::2"]), V4: (0.5, ["1.1.1.1"])}, hosts)

    async def scenario() -> None:
        task = asyncio.create_task(net.connect())
        await asyncio.sleep(moment)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    run(scenario())
    assert net.open == set()


@given(
    outcomes=st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from([0, REFUSED])), min_size=1, max_size=6
    ),
    split=st.integers(0, 6),
)
def test_any_race_ends_with_one_connection_or_none(
    outcomes: list[tuple[int, int]], split: int
) -> None:
    names = [f"::{n}" if n < split else f"1.1.1.{n}" for n in range(len(outcomes))]
    net = Net(
        {V6: (0.0, names[:split]), V4: (0.0, names[split:])},
        {name: (after / 4, number) for name, (after, number) in zip(names, outcomes, strict=True)},
    )
    can = any(number == 0 for _, number in outcomes)
    if can:
        assert run(net.connect()) in net.open
    else:
        with pytest.raises(ConnectionRefusedError):
            run(net.connect())
        assert len(net.started) == len(names)
    assert len(net.open) == int(can)
    assert len({name for _, name in net.started}) == len(net.started)


@pytest.mark.rfc("8305", "5", "HE-04")
def test_who_won_goes_first_for_ten_minutes() -> None:
    hosts = {"::1": (NEVER, 0), "1.1.1.1": (0.01, 0)}
    net = Net({V6: (0, ["::1"]), V4: (0, ["1.1.1.1"])}, hosts)
    winners = Winners()

    async def scenario() -> list[str]:
        firsts = []
        for pause in (0, 0, 599, 601):
            await asyncio.sleep(pause)
            net.started.clear()
            await net.connect(winners=winners)
            firsts.append(net.started[0][1])
        return firsts

    assert run(scenario()) == ["::1", "1.1.1.1", "1.1.1.1", "::1"]


def test_winners_are_bounded_and_the_oldest_go() -> None:
    winners = Winners()
    for number in range(1100):
        winners.remember(f"host{number}", V4, now=0)
    assert winners.first("host1099", 1) == V4
    assert winners.first("host0", 1) == V6
    assert len(winners._known) == 1024


LOCALS: dict[str, tuple[Any, list[tuple[str, int]]]] = {
    "none": (None, []),
    "text": ("10.0.0.1", [("10.0.0.1", 0)]),
    "an address": (ip_address("fd09::1"), [("fd09::1", 0)]),
    "with a port": (("10.0.0.1", 80), [("10.0.0.1", 80)]),
    "two": (("10.0.0.1", "10.0.1.1"), [("10.0.0.1", 0), ("10.0.1.1", 0)]),
    "two with ports": (
        [("10.0.0.1", 80), (ip_address("fd09::1"), 81)],
        [("10.0.0.1", 80), ("fd09::1", 81)],
    ),
}


@pytest.mark.parametrize(("given_", "expected"), LOCALS.values(), ids=LOCALS.keys())
def test_local_addresses(given_: Any, expected: list[tuple[str, int]]) -> None:
    assert [(str(address), port) for address, port in local_addresses(given_)] == expected


def test_the_operating_system_is_asked_as_for_tcp() -> None:
    found = asyncio.run(eyeballs.getaddrinfo("127.0.0.1", 80, V4))
    assert [address[:2] for address in found] == [("127.0.0.1", 80)]
