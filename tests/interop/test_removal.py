"""Addresses that go: each kind of endpoint of the kernel's, and ours."""

from __future__ import annotations

import pytest
from interop.lab import Plan
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
    ip,
    join,
    joined_by_kernel,
    joined_by_us,
    params,
    steps,
    told,
    until_counted,
    until_live,
    withdraw,
)

pytestmark = pytest.mark.privileged

TAUGHT = Plan(paths=3, settings=OBEDIENT, endpoints=("{1} id 2 signal", "{2} id 3 signal"))
"""The kernel announces two addresses, which we join."""

OPENS = Plan(paths=3, settings=PASSIVE, endpoints=("{1} id 2 subflow", "{2} id 3 subflow"))
"""The kernel connects and joins from two addresses."""

QUIET = Plan(paths=3, settings=PASSIVE)

SHARED = SERVES | told(2) | joined_by_us(2)

THE_KERNELS = {
    "none (control)": Row(plan=TAUGHT, subflows=3, counted=SHARED),
    "one it announced": Row(
        plan=TAUGHT,
        subflows=3,
        act=ip("mptcp endpoint del id 2"),
        left=2,
        counted=SHARED | {"RmAddrTx": 1, "RmSubflow": 1},
    ),
    "both it announced": Row(
        plan=TAUGHT,
        subflows=3,
        act=steps(ip("mptcp endpoint del id 2"), ip("mptcp endpoint del id 3")),
        left=1,
        counted=SHARED | {"RmAddrTx": 2, "RmSubflow": 2},
    ),
    "all at once": Row(
        plan=TAUGHT,
        subflows=3,
        act=ip("mptcp endpoint flush"),
        left=1,
        counted=SHARED | {"RmAddrTx": 2, "RmSubflow": 2},
    ),
    "that of the first subflow": Row(
        plan=TAUGHT,
        subflows=3,
        act=ip("mptcp endpoint del id 0 {0}"),
        left=2,
        counted=SHARED | {"RmAddrTx": 1, "RmSubflow": 1},
    ),
    "one, and announced again": Row(
        plan=TAUGHT,
        subflows=3,
        act=steps(
            ip("mptcp endpoint del id 2"),
            until_live(2),
            ip("mptcp endpoint add {1} id 2 signal"),
            until_live(3),
        ),
        left=3,
        counted=SERVES | told(3) | joined_by_us(3) | {"RmAddrTx": 1, "RmSubflow": 1},
    ),
}


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-02")
@pytest.mark.parametrize("row", params(THE_KERNELS))
def test_addresses_that_the_kernel_announced_go(row: Row) -> None:
    check(row)


JOINED = CALLS | joined_by_kernel(2)

USED = {
    "none (control)": Row(plan=OPENS, stack_connects=False, subflows=3, counted=JOINED),
    "one it joins from": Row(
        plan=OPENS,
        stack_connects=False,
        subflows=3,
        act=ip("mptcp endpoint del id 2"),
        left=2,
        counted=JOINED | {"RmAddrTx": 1, "RmSubflow": 1},
    ),
    "all at once": Row(
        plan=OPENS,
        stack_connects=False,
        subflows=3,
        act=ip("mptcp endpoint flush"),
        left=1,
        counted=JOINED | {"RmSubflow": 2},
    ),
    "that of the first subflow": Row(
        plan=OPENS,
        stack_connects=False,
        subflows=3,
        act=ip("mptcp endpoint del id 0 {0}"),
        left=2,
        counted=JOINED | {"RmAddrTx": 1, "RmSubflow": 1},
    ),
    "one, and used again": Row(
        plan=OPENS,
        stack_connects=False,
        subflows=3,
        act=steps(
            ip("mptcp endpoint del id 2"),
            until_live(2),
            ip("mptcp endpoint add {1} id 2 subflow"),
            until_live(3),
        ),
        left=3,
        counted=CALLS | joined_by_kernel(3) | {"RmAddrTx": 1, "RmSubflow": 1},
    ),
}


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-02")
@pytest.mark.parametrize("row", params(USED))
def test_addresses_that_the_kernel_joins_from_go(row: Row) -> None:
    check(row)


def lose(path: int) -> Act:
    """Take an address away from our host."""
    return lambda case: case.set_local(path, present=False)


def lose_and_find(case: Case) -> None:
    case.set_local(1, present=False)
    case.set_local(1, present=True)


LEFT = frozenset({"MPPrioRx", "RmSubflow"})
"""We first ask it to spare the subflow, up to three times; then our FIN and REMOVE_ADDR race."""

RACE = frozenset({"RmSubflow"})
"""Our RST and REMOVE_ADDR race, too."""

OURS = {
    "one we joined from, kept (control)": Row(
        plan=QUIET, act=join(1), left=2, counted=SERVES | joined_by_us()
    ),
    "one we joined from": Row(
        plan=QUIET,
        act=steps(join(1), until_live(2), withdraw(1)),
        left=1,
        counted=SERVES | joined_by_us() | {"RmAddr": 1},
        noise=LEFT,
    ),
    "one that was announced and joined": Row(
        plan=QUIET,
        act=steps(advertise(1), until_live(2), withdraw(1)),
        left=1,
        counted=SERVES | heard() | joined_by_kernel() | {"RmAddr": 1},
        noise=LEFT,
    ),
    "one that was announced and not joined": Row(
        plan=Plan(paths=3, settings=PASSIVE, address_limit=0),
        act=steps(advertise(1), until_counted("EchoAddTx"), withdraw(1)),
        counted=SERVES | heard() | {"RmAddr": 1},
    ),
    "that of the first subflow": Row(
        plan=QUIET,
        act=steps(join(1), until_live(2), withdraw(0)),
        left=1,
        counted=SERVES | joined_by_us() | {"RmAddr": 1},
        noise=LEFT,
    ),
    "one that our host loses": Row(
        plan=Plan(paths=2),
        subflows=2,
        act=lose(1),
        left=1,
        counted=SERVES | joined_by_us() | {"RmAddr": 1, "MPRstRx": 1},
        noise=RACE,
    ),
    "one that our host loses and gets again": Row(
        plan=Plan(paths=2),
        subflows=2,
        act=lose_and_find,
        left=2,
        counted=SERVES | joined_by_us(2) | {"RmAddr": 1, "MPRstRx": 1},
        noise=RACE,
    ),
    "one that was announced, announced again": Row(
        plan=QUIET,
        act=steps(
            advertise(1),
            until_live(2),
            withdraw(1),
            until_live(1),
            until_counted("RmAddr"),
            advertise(1),
            until_live(2),
        ),
        left=2,
        counted=SERVES | heard(2) | joined_by_kernel(2) | {"RmAddr": 1},
        noise=LEFT,
    ),
}


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-01")
@pytest.mark.parametrize("row", params(OURS))
def test_addresses_of_ours_go(row: Row) -> None:
    check(row)
