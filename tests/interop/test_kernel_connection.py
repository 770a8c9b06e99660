from __future__ import annotations

from ipaddress import ip_address

import pytest
from interop.lab import Lab, Plan, connect, greet, in_lab, until
from interop.rows import PASSIVE

from plait.aio.connection import connection_of
from plait.host.events import AddressAdvertised, SubflowDown, SubflowPriority, SubflowUp

PLAN = Plan(
    paths=2,
    sysctls={"net.mptcp.pm_type": 1},
    settings=PASSIVE,
)


@pytest.mark.parametrize("backup", [False, True])
def test_subflows_that_a_program_steers_in_the_kernel_reach_the_stack(backup: bool) -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=False)
        await greet(ours, theirs)
        steered, seen = connection_of(theirs[1]), connection_of(ours[1])
        happenings = seen.events()
        happenings.take()
        opened = steered.open_subflow(
            ip_address(lab.plan.kernel_address(1)),
            ip_address(lab.plan.stack_address(1)),
            backup=backup,
        )
        await until(lambda: len(seen.paths) == 2)
        assert [one.low_prio for one in seen.subflows()] == [False, backup]
        steered.set_backup(opened, backup=not backup)
        await until(lambda: [one.low_prio for one in seen.subflows()] == [False, not backup])
        steered.close_subflow(opened)
        await until(lambda: len(seen.paths) == 1)
        await greet(ours, theirs)
        told = [type(happening.event) for happening in happenings.take()]
        assert [kind for kind in told if kind in {SubflowUp, SubflowPriority, SubflowDown}] == [
            SubflowUp,
            SubflowPriority,
            SubflowDown,
        ]
        assert lab.counted()["MPJoinSynTx"] == 1

    in_lab(PLAN, scenario)


def test_what_the_stack_advertises_is_an_event_of_the_kernels_connection() -> None:
    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=False)
        happenings = connection_of(theirs[1]).events()
        await greet(ours, theirs)
        connection_of(ours[1]).change(path_manager="signal")
        await until(lambda: lab.counted().get("AddAddr", 0) == 1)
        told = [happening.event for happening in happenings.take()]
        (advertised,) = [event for event in told if isinstance(event, AddressAdvertised)]
        assert advertised.address == ip_address(lab.plan.stack_address(1))

    in_lab(PLAN, scenario)
