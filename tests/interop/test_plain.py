"""Peers without Multipath TCP, in both roles and on both sides."""

from __future__ import annotations

import pytest
from interop.lab import Lab, Plan, close, connect, exchange, in_lab

pytestmark = pytest.mark.privileged

PLANS = {
    "the kernel is plain": Plan(kernel_mptcp=False),
    "the stack is plain": Plan(settings={"mptcp": False}),
    "both are": Plan(kernel_mptcp=False, settings={"mptcp": False}),
    "the kernel is plain, MTU 1500": Plan(kernel_mptcp=False, offload=False),
}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-37")
@pytest.mark.parametrize("stack_connects", [True, False], ids=["connects", "listens"])
@pytest.mark.parametrize("name", PLANS, ids=list(PLANS))
def test_plain_peer(name: str, stack_connects: bool) -> None:
    plan = PLANS[name]

    async def scenario(lab: Lab) -> None:
        for number, size in enumerate((0, 1, 64 << 10, 4 << 20)):
            ours, theirs = await connect(lab, stack_connects=stack_connects)
            await exchange(ours, theirs, size, seed=number)
            info = lab.stack.info(ours[1].transport)
            assert not info.is_mptcp
            assert info.fallback_reason
            assert len(info.subflows) == 1
            await close((ours, theirs))

    in_lab(plan, scenario)
