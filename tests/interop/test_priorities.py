"""Backup subflows: asked for at the join or by MP_PRIO, and where the octets then go."""

from __future__ import annotations

import pytest
from interop.lab import Plan, exchange, until
from interop.rows import (
    CALLS,
    OBEDIENT,
    PASSIVE,
    SERVES,
    Act,
    Case,
    Counted,
    Row,
    check,
    ip,
    join,
    joined_by_kernel,
    joined_by_us,
    params,
    steps,
    told,
    until_live,
)

pytestmark = pytest.mark.privileged

QUIET = Plan(paths=2, settings=PASSIVE)
LITTLE = 2_000
"""Octets that a backup may have carried before it became one, and its share of the closing."""

MUCH = 400_000


def prio(number: int, *, backup: bool) -> Act:
    """Ask the kernel to spare one of our subflows, or to use it again."""

    async def act(case: Case) -> None:
        before = case.lab.counted().get("MPPrioRx", 0)
        case.set_backup(number, backup=backup)
        await until(lambda: case.lab.counted().get("MPPrioRx", 0) > before)

    return act


def spared(number: int, *, by_us: bool, by_kernel: bool) -> Act:
    """Move much and assert who kept off one of our subflows."""

    async def act(case: Case) -> None:
        def carried() -> tuple[int, int]:
            tcp = case.subflow(number).tcp
            return tcp.sender.snd_una, tcp.receiver.rcv_nxt

        if by_us:
            await until(lambda: case.subflow(number).backup)
        sent, received = carried()
        await exchange_on(case, MUCH)
        sent, received = (now - then for now, then in zip(carried(), (sent, received), strict=True))
        assert (sent < LITTLE) is by_us
        assert (received < LITTLE) is by_kernel

    return act


async def exchange_on(case: Case, size: int) -> None:
    """Move octets both ways and leave the connection open."""
    await exchange(case.ours, case.theirs, size, end_stream=False)


async def no_backup(case: Case) -> None:
    """Move much and assert that nobody keeps off the second subflow."""
    subflow = case.subflow(1)
    await until(lambda: not subflow.backup)


def from_kernel(flags: str) -> Plan:
    return Plan(paths=2, settings=PASSIVE, endpoints=(f"{{1}} id 2 {flags}",))


PRIO_TX: Counted = {"MPPrioTx": 1}
REPEATED = frozenset({"MPPrioRx"})
"""We say it up to three times, as long as the connection lives."""

ROWS = {
    "our join, first (control)": Row(
        plan=QUIET,
        act=steps(
            join(1), until_live(2), prio(0, backup=True), spared(0, by_us=False, by_kernel=True)
        ),
        left=2,
        counted=SERVES | joined_by_us(),
        noise=REPEATED,
    ),
    "our join as backup": Row(
        plan=QUIET,
        act=steps(join(1, backup=True), until_live(2), spared(1, by_us=False, by_kernel=True)),
        left=2,
        counted=SERVES | joined_by_us() | {"MPJoinSynBackupRx": 1},
    ),
    "our join as backup, then not": Row(
        plan=QUIET,
        act=steps(
            join(1, backup=True),
            until_live(2),
            prio(1, backup=False),
            prio(0, backup=True),
            spared(1, by_us=False, by_kernel=False),
        ),
        left=2,
        counted=SERVES | joined_by_us() | {"MPJoinSynBackupRx": 1},
        noise=REPEATED,
    ),
    "our MP_PRIO": Row(
        plan=QUIET,
        act=steps(
            join(1), until_live(2), prio(1, backup=True), spared(1, by_us=False, by_kernel=True)
        ),
        left=2,
        counted=SERVES | joined_by_us(),
        noise=REPEATED,
    ),
    "its join as backup": Row(
        plan=from_kernel("subflow backup"),
        stack_connects=False,
        subflows=2,
        act=spared(1, by_us=True, by_kernel=True),
        counted=CALLS | joined_by_kernel(),
    ),
    "its address, a backup": Row(
        plan=Plan(paths=2, settings=OBEDIENT, endpoints=("{1} id 2 signal backup",)),
        subflows=2,
        act=spared(1, by_us=True, by_kernel=True),
        counted=SERVES | told() | joined_by_us(),
    ),
    "its first address, a backup": Row(
        plan=Plan(
            paths=2,
            settings=PASSIVE,
            endpoints=("{0} id 1 subflow backup", "{1} id 2 subflow"),
        ),
        stack_connects=False,
        subflows=2,
        act=spared(0, by_us=True, by_kernel=True),
        counted=CALLS | joined_by_kernel() | PRIO_TX,
    ),
    "its MP_PRIO": Row(
        plan=from_kernel("subflow"),
        stack_connects=False,
        subflows=2,
        act=steps(ip("mptcp endpoint change id 2 backup"), spared(1, by_us=True, by_kernel=True)),
        counted=CALLS | joined_by_kernel() | PRIO_TX,
    ),
    "its MP_PRIO and back": Row(
        plan=from_kernel("subflow backup"),
        stack_connects=False,
        subflows=2,
        act=steps(ip("mptcp endpoint change id 2 nobackup"), no_backup),
        counted=CALLS | joined_by_kernel() | PRIO_TX,
    ),
}


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-02")
@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-03")
@pytest.mark.parametrize("row", params(ROWS))
def test_backups_carry_nothing_while_others_work(row: Row) -> None:
    check(row)
