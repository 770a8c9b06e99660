"""Linux, which speaks version 1 of Multipath TCP, and a stack that speaks others."""

from __future__ import annotations

import pytest
from interop.lab import Lab, Plan, close, connect, exchange, in_lab

pytestmark = pytest.mark.privileged


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-03")
@pytest.mark.rfc("6824", "3.1", "M6824-x-02")
@pytest.mark.parametrize("stack_connects", [True, False], ids=["connects", "listens"])
@pytest.mark.parametrize(("name", "version"), [("v0", None), ("both", 1)])
def test_what_is_spoken_with_linux(name: str, version: int | None, stack_connects: bool) -> None:
    async def scenario(lab: Lab) -> None:
        for number, size in enumerate((1, 256 << 10)):
            ours, theirs = await connect(lab, stack_connects=stack_connects)
            await exchange(ours, theirs, size, seed=number)
            assert lab.stack.info(ours[1].transport).version == version
            await close((ours, theirs))

    in_lab(Plan(settings={"mptcp_versions": name}), scenario)
