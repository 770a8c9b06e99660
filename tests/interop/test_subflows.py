"""Subflows beside the first one: who opens them, how many, and what limits hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from interop.lab import Plan
from interop.rows import (
    CALLS,
    PASSIVE,
    SERVES,
    Row,
    advertise,
    check,
    heard,
    joined_by_kernel,
    joined_by_us,
    params,
    steps,
    told,
    until_live,
)

pytestmark = pytest.mark.privileged

TWO = "{1} id 2 subflow"
THREE = "{2} id 3 subflow"


def from_kernel(endpoints: tuple[str, ...], **changes: object) -> Plan:
    """Return a plan whose kernel joins from its endpoints."""
    fields: dict[str, object] = {"paths": 3, "settings": PASSIVE, "endpoints": endpoints}
    return Plan(**(fields | changes))  # type: ignore[arg-type]  # fields of Plan


KERNEL_OPENS = {
    "no endpoint": Row(plan=from_kernel(()), counted=CALLS),
    "no endpoint, v6": Row(plan=from_kernel((), family=6), counted=CALLS),
    "one": Row(plan=from_kernel((TWO,)), subflows=2, counted=CALLS | joined_by_kernel()),
    "one, v6": Row(
        plan=from_kernel((TWO,), family=6), subflows=2, counted=CALLS | joined_by_kernel()
    ),
    "two": Row(plan=from_kernel((TWO, THREE)), subflows=3, counted=CALLS | joined_by_kernel(2)),
    "two, v6": Row(
        plan=from_kernel((TWO, THREE), family=6), subflows=3, counted=CALLS | joined_by_kernel(2)
    ),
    "two, its limit is 0": Row(plan=from_kernel((TWO, THREE), subflow_limit=0), counted=CALLS),
    "two, its limit is 1": Row(
        plan=from_kernel((TWO, THREE), subflow_limit=1),
        subflows=2,
        counted=CALLS | joined_by_kernel(),
    ),
    "two, its limit is 2": Row(
        plan=from_kernel((TWO, THREE), subflow_limit=2),
        subflows=3,
        counted=CALLS | joined_by_kernel(2),
    ),
    "two, our limit is 0": Row(
        plan=from_kernel((TWO, THREE), settings=PASSIVE | {"max_subflows": 1}),
        counted=CALLS | {"MPJoinSynTx": 2},
    ),
    "two, our limit is 1": Row(
        plan=from_kernel((TWO, THREE), settings=PASSIVE | {"max_subflows": 2}),
        subflows=2,
        counted=CALLS | joined_by_kernel() | {"MPJoinSynTx": 2},
    ),
}


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-10")
@pytest.mark.parametrize("row", params(KERNEL_OPENS))
def test_subflows_that_the_kernel_opens(row: Row) -> None:
    check(replace(row, stack_connects=False))


WE_OPEN = {
    f"{paths - 1} more, v{family}": Row(
        plan=Plan(paths=paths, family=family),
        subflows=paths,
        counted=SERVES | (joined_by_us(paths - 1) if paths > 1 else {}),
    )
    for paths in (1, 2, 3)
    for family in (4, 6)
} | {
    "2 more, its limit is 0": Row(
        plan=Plan(paths=3, subflow_limit=0),
        counted=SERVES | {"MPJoinSynRx": 2, "MPJoinRejected": 2},
    ),
    "2 more, its limit is 1": Row(
        plan=Plan(paths=3, subflow_limit=1),
        subflows=2,
        counted=SERVES | {"MPJoinSynRx": 2, "MPJoinAckRx": 1, "MPJoinRejected": 1},
    ),
    "2 more, our limit is 0": Row(plan=Plan(paths=3, settings={"max_subflows": 1}), counted=SERVES),
    "2 more, our limit is 1": Row(
        plan=Plan(paths=3, settings={"max_subflows": 2}),
        subflows=2,
        counted=SERVES | joined_by_us(),
    ),
    "from one address, twice": Row(
        plan=Plan(paths=1, settings={"path_manager": "ndiffports"}),
        subflows=4,
        counted=SERVES | joined_by_us(3),
    ),
}


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-11")
@pytest.mark.parametrize("row", params(WE_OPEN))
def test_subflows_that_we_open(row: Row) -> None:
    check(row)


MESH = "{1} id 2 subflow fullmesh"

FULL_MESH = {
    "we join two of ours to two of its": Row(
        plan=Plan(paths=2, endpoints=("{1} id 2 signal",)),
        subflows=4,
        counted=SERVES | told() | joined_by_us(3),
    ),
    "we join two of ours to one of its (control)": Row(
        plan=Plan(paths=2), subflows=2, counted=SERVES | joined_by_us()
    ),
    "we join two of ours to two of its, it takes two": Row(
        plan=Plan(paths=2, endpoints=("{1} id 2 signal",), subflow_limit=2),
        subflows=3,
        counted=SERVES | told() | joined_by_us(2) | {"MPJoinSynRx": 3, "MPJoinRejected": 1},
    ),
    "we join three of ours to three of its": Row(
        plan=Plan(paths=3, endpoints=("{1} id 2 signal", "{2} id 3 signal")),
        subflows=8,
        counted=SERVES | told(2) | joined_by_us(7),
    ),
    "it joins one of its to two of ours": Row(
        plan=from_kernel((MESH,)),
        stack_connects=False,
        subflows=2,
        act=steps(advertise(1), until_live(3)),
        left=3,
        counted=CALLS | joined_by_kernel(2) | heard(),
    ),
    "it joins two of its to two of ours": Row(
        plan=from_kernel((MESH, "{2} id 3 subflow fullmesh")),
        stack_connects=False,
        subflows=3,
        act=steps(advertise(1), until_live(5)),
        left=5,
        counted=CALLS | joined_by_kernel(4) | heard(),
    ),
}


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-01")
@pytest.mark.parametrize("row", params(FULL_MESH))
def test_full_mesh(row: Row) -> None:
    check(row)
