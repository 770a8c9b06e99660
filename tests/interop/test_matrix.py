"""Against the kernel: both roles, both families, with and without checksums and offload."""

from __future__ import annotations

import itertools

import pytest
from interop.lab import Lab, Plan, close, connect, exchange, in_lab, subflows_up
from interop.rows import CALLS, SERVES, Counted, counts, heard, joined_by_kernel, joined_by_us

pytestmark = pytest.mark.privileged

SIZES = (0, 1, 64 << 10, 16 << 20)

MATRIX = [
    pytest.param(
        stack_connects,
        Plan(family=family, checksum=checksum, offload=offload, paths=paths),
        id="-".join((
            "connects" if stack_connects else "listens",
            f"v{family}",
            "checksum" if checksum else "bare",
            "offload" if offload else "mtu1500",
            f"{paths}path",
        )),
    )
    for stack_connects, family, checksum, offload, paths in itertools.product(
        (True, False), (4, 6), (True, False), (True, False), (1, 2)
    )
]  # fmt: skip


def expected(*, stack_connects: bool, paths: int) -> Counted:
    """Return the kernel's counters after a clean connection."""
    joins = joined_by_us() if stack_connects else heard() | joined_by_kernel()
    return (SERVES if stack_connects else CALLS) | (joins if paths == 2 else {})


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-01")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-10")
@pytest.mark.parametrize(("stack_connects", "plan"), MATRIX)
def test_random_data_both_ways(stack_connects: bool, plan: Plan) -> None:
    async def scenario(lab: Lab) -> None:
        for number, size in enumerate(SIZES):
            ours, theirs = await connect(lab, stack_connects=stack_connects)
            await subflows_up(lab, ours, theirs, plan.paths)
            info = lab.stack.info(ours[1].transport)
            assert info.is_mptcp
            assert info.csum_enabled is plan.checksum
            await exchange(ours, theirs, size, seed=number)
            await close((ours, theirs))
        once = expected(stack_connects=stack_connects, paths=plan.paths)
        await counts(lab, {name: count * len(SIZES) for name, count in once.items()})

    in_lab(plan, scenario)
