"""Addresses announced by either side, believed or not, joined or not, heard or not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from interop.faults import boxed
from interop.lab import Plan, greet
from interop.rows import (
    CALLS,
    OBEDIENT,
    PASSIVE,
    SERVES,
    Act,
    Case,
    Row,
    advertise,
    check,
    heard,
    joined_by_kernel,
    joined_by_us,
    params,
    steps,
    told,
    until_counted,
    until_live,
)

from plait.pathing.base import Advertise
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.segment import Segment

pytestmark = pytest.mark.privileged

SECOND = "{1} id 2 signal"
THIRD = "{2} id 3 signal"


def obedient(*endpoints: str, **fields: object) -> Plan:
    """Return a plan whose kernel announces addresses, which we join."""
    given: dict[str, object] = {"paths": 3, "settings": OBEDIENT, "endpoints": endpoints}
    return Plan(**(given | fields))  # type: ignore[arg-type]  # fields of Plan


def passive(**fields: object) -> Plan:
    """Return a plan where we announce only what the row has us announce."""
    given: dict[str, object] = {"paths": 3, "settings": PASSIVE}
    return Plan(**(given | fields))  # type: ignore[arg-type]  # fields of Plan


ITS_PORT = {"PortAdd": 1, "MPJoinPortSynRx": 1, "MPJoinPortAckRx": 1}

THE_KERNELS = {
    f"{name}, v{family}": Row(
        plan=obedient(*endpoints, family=family), subflows=1 + count, counted=counted
    )
    for family in (4, 6)
    for name, endpoints, count, counted in (
        ("none", (), 0, SERVES),
        ("one", (SECOND,), 1, SERVES | told() | joined_by_us()),
        ("two", (SECOND, THIRD), 2, SERVES | told(2) | joined_by_us(2)),
    )
} | {
    "one with a port": Row(
        plan=obedient("{1} id 2 port 5555 signal"),
        subflows=2,
        counted=SERVES | told() | joined_by_us() | ITS_PORT,
    ),
    "one with a port, v6": Row(
        plan=obedient(
            "{1} id 2 port 5555 signal", family=6, settings=OBEDIENT | {"timestamps": False}
        ),
        subflows=2,
        counted=SERVES | told() | joined_by_us() | ITS_PORT,
    ),
    "one with a port, v6, that finds no room": Row(
        plan=obedient("{1} id 2 port 5555 signal", family=6),
        counted=SERVES | {"AddAddrTxDrop": 1},
    ),
    "one that nobody has": Row(
        plan=obedient("{0}9 id 2 signal"), act=until_counted("EchoAdd"), counted=SERVES | told()
    ),
    "one that no host can have": Row(
        plan=obedient("224.0.0.7 id 2 signal"),
        act=until_counted("EchoAdd"),
        counted=SERVES | told(),
    ),
    "one that we do not care for": Row(
        plan=passive(endpoints=(SECOND,)), act=until_counted("EchoAdd"), counted=SERVES | told()
    ),
    "one of a caller, who cannot be joined": Row(
        plan=obedient(SECOND),
        stack_connects=False,
        act=until_counted("EchoAdd"),
        counted=CALLS | told(),
    ),
}


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-07")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-08")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-23")
@pytest.mark.parametrize("row", params(THE_KERNELS))
def test_addresses_of_the_kernel(row: Row) -> None:
    check(row)


def at(address: str, port: int = 0) -> Act:
    """Announce some address."""
    return lambda case: case.do(Advertise(ip_address(address), port))


TWO = (advertise(1), until_counted("EchoAddTx"), advertise(2))
"""One by one: the kernel drops what comes while it works on another."""

OUR_PORT = {"PortAdd": 1, "MPJoinPortSynAckRx": 1}

OURS = {
    f"{name}, {'to a listener' if stack_connects else 'to a caller'}": Row(
        plan=passive(address_limit=limit),
        stack_connects=stack_connects,
        act=steps(*acts, until_counted("EchoAddTx", count)),
        left=1 + joins,
        counted=(SERVES if stack_connects else CALLS)
        | heard(count)
        | (joined_by_kernel(joins) if joins else {})
        | (OUR_PORT if "port" in name else {}),
    )
    for stack_connects in (True, False)
    for name, limit, acts, count, joins in (
        ("one", 8, (advertise(1),), 1, 1),
        ("two", 8, TWO, 2, 2),
        ("two, it accepts none", 0, TWO, 2, 0),
        ("two, it accepts one", 1, TWO, 2, 1),
        ("two, it accepts two", 2, TWO, 2, 2),
        ("one twice", 8, (advertise(1), until_live(2), advertise(1)), 2, 1),
        ("the one of the first subflow", 8, (advertise(0),), 1, 0),
        ("one with a port", 8, (advertise(1, 7777),), 1, 1),
    )
}


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-01")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-09")
@pytest.mark.parametrize("row", params(OURS))
def test_addresses_of_ours(row: Row) -> None:
    check(row)


MORE = {
    "one of ours, v6": Row(
        plan=passive(family=6),
        act=steps(advertise(1), until_live(2)),
        left=2,
        counted=SERVES | heard() | joined_by_kernel(),
    ),
    "one of ours with a port, v6": Row(
        plan=passive(family=6, settings=PASSIVE | {"timestamps": False}),
        act=steps(advertise(1, 7777), until_live(2)),
        left=2,
        counted=SERVES | heard() | joined_by_kernel() | OUR_PORT,
    ),
    "one of ours that nobody has": Row(
        plan=passive(),
        act=steps(at("10.77.1.99"), until_counted("EchoAddTx")),
        counted=SERVES | heard() | {"MPJoinSynTx": 1},
    ),
    "one of ours that no host can have": Row(
        plan=passive(),
        act=steps(at("224.0.0.9"), until_counted("EchoAddTx")),
        counted=SERVES | heard() | {"MPJoinSynTxConnectErr": 1},
    ),
    "one of each side": Row(
        plan=obedient(SECOND),
        subflows=2,
        act=steps(advertise(2), until_live(3)),
        left=3,
        counted=SERVES | told() | joined_by_us() | heard() | joined_by_kernel(),
    ),
    "one of ours that it has no way to": Row(
        plan=passive(),
        act=steps(at("fd77:9::1"), until_counted("EchoAddTx")),
        counted=SERVES | heard() | {"MPJoinSynTxConnectErr": 1},
    ),
}


@pytest.mark.parametrize("row", params(MORE))
def test_addresses_of_either_side(row: Row) -> None:
    check(row)


class Deaf:
    """A box that loses some segments with an ADD_ADDR."""

    def __init__(self, left: int, *, echo: bool) -> None:
        self._left = left
        self._echo = echo

    def __call__(self, segment: Segment) -> Segment | None:
        for option in segment.options:
            if isinstance(option, AddAddr) and option.echo is self._echo and self._left:
                self._left -= 1
                return None
        return segment


async def chat(case: Case) -> None:
    """Send a little both ways."""
    await greet(case.ours, case.theirs)


def lost_by_kernel(times: int, *, echo: bool) -> Row:
    """Return a row where its announcement, or our echo, does not arrive at first."""
    return Row(
        plan=obedient(
            SECOND,
            wrap=boxed(Deaf(times, echo=echo), outbound=echo),
            sysctls={"net.mptcp.add_addr_timeout": 1},
        ),
        subflows=2,
        act=until_counted("EchoAdd"),
        counted=SERVES | told() | joined_by_us() | {"AddAddrTx": times + 1},
    )


def lost_by_us(times: int, *, echo: bool) -> Row:
    """Return a row where our announcement, or its echo, does not arrive at first."""
    arrive = times + 1 if echo else 1
    return Row(
        plan=passive(
            wrap=boxed(Deaf(times, echo=echo), outbound=not echo),
            settings=PASSIVE | {"add_addr_tries": 4},
        ),
        # Two ACKs with options in a row is what RFC 8684, 3 allows: a third waits for an answer.
        act=steps(
            advertise(1),
            until_counted("EchoAddTx", min(arrive, 2)),
            chat,
            until_counted("EchoAddTx", arrive),
            until_live(2),
        ),
        left=2,
        counted=SERVES | heard(arrive) | joined_by_kernel(),
    )


LOST = {
    "nothing of the kernel's (control)": lost_by_kernel(0, echo=True),
    "its option": lost_by_kernel(1, echo=False),
    "our echo": lost_by_kernel(1, echo=True),
    "our echo, twice": lost_by_kernel(2, echo=True),
    "nothing of ours (control)": lost_by_us(0, echo=True),
    "our option": lost_by_us(1, echo=False),
    "its echo": lost_by_us(1, echo=True),
    "its echo, twice": lost_by_us(2, echo=True),
}


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-12")
@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-13")
@pytest.mark.parametrize("row", params(LOST))
def test_what_is_not_echoed_is_said_again(row: Row) -> None:
    check(row)
