"""Back to TCP: options that boxes remove, octets that they change, peers that know no better."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from interop.faults import Corrupter, Stripper, boxed
from interop.lab import Plan, send, until
from interop.rows import (
    CALLS,
    SERVES,
    Act,
    Case,
    Counted,
    Row,
    check,
    heard,
    joined_by_kernel,
    joined_by_us,
    params,
)

from plait.mptcp.state import Mode
from plait.wire.segment import SYN, Segment

pytestmark = pytest.mark.privileged

ZEROS = bytes(4000)
TAIL = b"the next mapping can say that TCP goes on"


def has_syn(segment: Segment) -> bool:
    return bool(segment.flags & SYN)


def has_none(segment: Segment) -> bool:
    return not has_syn(segment)


def always(_: Segment) -> bool:
    return True


def stripped(chosen: Callable[[Segment], bool], *, outbound: bool, paths: int = 1) -> Plan:
    return Plan(paths=paths, wrap=boxed(Stripper(chosen), outbound=outbound))


HANDSHAKES: dict[str, tuple[Plan, bool, Counted]] = {
    "our SYN": (stripped(has_syn, outbound=True), True, {}),
    "its SYN/ACK": (
        stripped(has_syn, outbound=False),
        True,
        {"MPCapableSYNRX": 1, "MPCapableFallbackACK": 1},
    ),
    "our third ACK and all that follows": (
        stripped(has_none, outbound=True),
        True,
        {"MPCapableSYNRX": 1, "MPCapableFallbackACK": 1},
    ),
    "all it says after the SYN/ACK": (
        stripped(has_none, outbound=False),
        True,
        SERVES | {"DssFallback": 1, "InfiniteMapRx": 1},
    ),
    "all we say": (stripped(always, outbound=True), True, {}),
    "its SYN": (
        stripped(has_syn, outbound=False),
        False,
        {"MPCapableSYNTX": 1, "MPCapableFallbackSYNACK": 1},
    ),
    "our SYN/ACK": (
        stripped(has_syn, outbound=True),
        False,
        {"MPCapableSYNTX": 1, "MPCapableFallbackSYNACK": 1},
    ),
    "its third ACK and all that follows": (
        stripped(has_none, outbound=False),
        False,
        CALLS | {"MPCapableDataFallback": 1},
    ),
    "all we say after the SYN/ACK": (
        stripped(has_none, outbound=True),
        False,
        CALLS | {"MPCapableDataFallback": 1},
    ),
}

PLAIN: dict[str, tuple[Plan, bool, Counted]] = {
    f"{name}, {'we connect' if connects else 'it connects'}": (plan, connects, counted)
    for connects in (True, False)
    for name, plan, counted in (
        ("the kernel is plain", Plan(kernel_mptcp=False), {}),
        ("the kernel is plain, v6", Plan(kernel_mptcp=False, family=6), {}),
        (
            "the stack is plain",
            Plan(settings={"mptcp": False}),
            {} if connects else {"MPCapableSYNTX": 1, "MPCapableFallbackSYNACK": 1},
        ),
        ("both are", Plan(kernel_mptcp=False, settings={"mptcp": False}), {}),
        ("the kernel is plain, MTU 1500", Plan(kernel_mptcp=False, offload=False), {}),
    )
}


def opened(connects: bool) -> Counted:
    return SERVES if connects else CALLS


CONTROLS: dict[str, tuple[Plan, bool, Counted]] = {
    "nothing, we connect (control)": (Plan(), True, SERVES),
    "nothing, it connects (control)": (Plan(), False, CALLS),
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-01")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-37")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-39")
@pytest.mark.parametrize("name", HANDSHAKES | PLAIN | CONTROLS)
def test_without_options_in_the_handshake_it_is_tcp(name: str) -> None:
    plan, connects, counted = (HANDSHAKES | PLAIN | CONTROLS)[name]
    check(Row(plan=plan, stack_connects=connects, counted=counted, mptcp=name in CONTROLS))


def arm(stripper: Stripper) -> Act:
    def act(_: Case) -> None:
        stripper.armed = True

    return act


def vanishing(*, outbound: bool, connects: bool, paths: int = 1) -> Row:
    """Return a row where options vanish from open subflows."""
    stripper = Stripper(has_none, armed=False)
    plan = Plan(paths=paths, wrap=boxed(stripper, outbound=outbound, path=paths - 1))
    joins = joined_by_us() if connects else joined_by_kernel() | heard()
    if paths == 1:
        counted, noise = opened(connects) | {"DssFallback": 1}, frozenset[str]()
    else:
        counted = opened(connects) | joins | ({"MPRstTx": 1} if outbound else {"MPRstRx": 1})
        noise = frozenset({"DuplicateData"})
    return Row(
        plan=plan,
        stack_connects=connects,
        subflows=paths,
        act=arm(stripper),
        counted=counted,
        noise=noise,
        mptcp=paths > 1,
        size=400_000,
    )


VANISHING = {
    f"{'ours' if outbound else 'its'}, {paths} subflow(s), "
    f"{'we connected' if connects else 'it connected'}": vanishing(
        outbound=outbound, connects=connects, paths=paths
    )
    for outbound in (True, False)
    for connects in (True, False)
    for paths in (1, 2)
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-05")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-07")
@pytest.mark.parametrize("row", params(VANISHING))
def test_options_that_vanish_later(row: Row) -> None:
    check(row)


def corrupted(*, outbound: bool, checksum: bool) -> Row:
    """Return a row where a box changes an octet on the only subflow."""
    corrupter = Corrupter()

    async def act(case: Case) -> None:
        source, sink = (case.ours, case.theirs) if outbound else (case.theirs, case.ours)
        corrupter.left = 1
        await send(source, ZEROS, end_stream=False)
        arrived = await sink[0].readexactly(len(ZEROS))
        assert sum(octet != 0 for octet in arrived) == 1
        if checksum:
            await until(lambda: case.connection.mode is Mode.TCP)
        # Linux lets large segments with an infinite mapping exceed the MTU, and sends none of them.
        await send(source, TAIL, end_stream=False)
        assert await sink[0].readexactly(len(TAIL)) == TAIL

    failed: Counted = {"MPFailTx": 1, "MPFailRx": 1}
    if outbound:
        failed |= {"DataCsumErr": 1, "InfiniteMapRx": 1, "DssFallback": 1}
    else:
        failed |= {"InfiniteMapTx": 1}
    return Row(
        plan=Plan(checksum=checksum, wrap=boxed(corrupter, outbound=outbound)),
        act=act,
        counted=SERVES | (failed if checksum else {}),
        mptcp=not checksum,
    )


def healed(*, outbound: bool, path: int) -> Row:
    """Return a row where a box changes an octet on one of two subflows."""
    corrupter = Corrupter()

    def act(_: Case) -> None:
        corrupter.left = 1

    failed = (
        {"DataCsumErr": 1, "MPFailTx": 1, "MPRstTx": 1}
        if outbound
        else {"MPFailRx": 1, "MPRstRx": 1}
    )
    return Row(
        plan=Plan(paths=2, wrap=boxed(corrupter, outbound=outbound, path=path)),
        subflows=2,
        act=act,
        counted=SERVES | joined_by_us() | failed,
        reason=6 if outbound else None,
        size=400_000,
    )


CORRUPTED = {
    f"{'ours' if outbound else 'its'}, {'checksum' if checksum else 'no checksum (control)'}": (
        corrupted(outbound=outbound, checksum=checksum)
    )
    for outbound in (True, False)
    for checksum in (True, False)
} | {
    f"{'ours' if outbound else 'its'}, {which} of two subflows": healed(
        outbound=outbound, path=path
    )
    for outbound in (True, False)
    for path, which in enumerate(("first", "second"))
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-09")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-10")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-12")
@pytest.mark.parametrize("row", params(CORRUPTED))
def test_changed_octets(row: Row) -> None:
    check(row)
