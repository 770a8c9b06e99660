"""Handshakes of every kind: checksums, cookies, flag C, MTUs, mapped addresses, peers without."""

from __future__ import annotations

import itertools

import pytest
from interop.faults import Tampering
from interop.lab import Plan
from interop.rows import (
    CALLS,
    OBEDIENT,
    PASSIVE,
    SERVES,
    Act,
    Counted,
    Row,
    advertise,
    check,
    heard,
    join,
    joined_by_kernel,
    joined_by_us,
    params,
    steps,
    told,
    until_counted,
    until_live,
)

from plait.drivers.base import Driver
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn
from plait.wire.segment import Segment

pytestmark = pytest.mark.privileged

KERNEL_ASKS = "net.mptcp.checksum_enabled"
COOKIES: dict[str, int | str] = {"net.ipv4.tcp_syncookies": 2}
NO_JOIN_TO_FIRST: dict[str, int | str] = {"net.mptcp.allow_join_initial_addr_port": 0}


def opened(stack_connects: bool) -> Counted:
    return SERVES if stack_connects else CALLS


CHECKSUMS = {
    f"we {we:d}, the kernel {kernel:d}, {'we connect' if connects else 'it connects'}": Row(
        plan=Plan(checksum=we, sysctls={KERNEL_ASKS: int(kernel)}, settings=PASSIVE, paths=2),
        stack_connects=connects,
        act=steps(join(1) if connects else advertise(1), until_live(2)),
        left=2,
        checksum=we or kernel,
        counted=opened(connects) | (joined_by_us() if connects else joined_by_kernel() | heard()),
    )
    for we, kernel, connects in itertools.product((False, True), repeat=3)
}


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-34")
@pytest.mark.parametrize("row", params(CHECKSUMS))
def test_checksums_are_used_if_either_side_asks(row: Row) -> None:
    check(row)


FIRST_SUBFLOW = {
    "flag C (control: without)": Row(
        plan=Plan(paths=2), subflows=2, counted=SERVES | joined_by_us()
    ),
    "flag C": Row(plan=Plan(paths=2, sysctls=NO_JOIN_TO_FIRST), counted=SERVES),
    "flag C, v6": Row(plan=Plan(paths=2, family=6, sysctls=NO_JOIN_TO_FIRST), counted=SERVES),
    "flag C, and an address it announces": Row(
        plan=Plan(
            paths=2, sysctls=NO_JOIN_TO_FIRST, settings=OBEDIENT, endpoints=("{1} id 2 signal",)
        ),
        subflows=2,
        counted=SERVES | told() | joined_by_us(),
    ),
    "flag C of a caller": Row(
        plan=Plan(paths=2, settings=PASSIVE, sysctls=NO_JOIN_TO_FIRST),
        stack_connects=False,
        act=steps(advertise(1), until_live(2)),
        left=2,
        counted=CALLS | heard() | joined_by_kernel(),
    ),
    "flag C of ours": Row(
        plan=Plan(
            paths=2,
            settings=PASSIVE | {"allow_join_initial": False},
            endpoints=("{1} id 2 subflow",),
        ),
        stack_connects=False,
        counted=CALLS,
    ),
    "flag C of ours (control: without)": Row(
        plan=Plan(paths=2, settings=PASSIVE, endpoints=("{1} id 2 subflow",)),
        stack_connects=False,
        subflows=2,
        counted=CALLS | joined_by_kernel(),
    ),
    "flag C of ours, and where to join instead": Row(
        plan=Plan(
            paths=2,
            settings=PASSIVE
            | {"allow_join_initial": False, "advertise": Plan(paths=2).stack_address(1)},
        ),
        stack_connects=False,
        subflows=2,
        counted=CALLS | heard() | joined_by_kernel(),
    ),
    "a cookie of the kernel's, joined by us": Row(
        plan=Plan(paths=2, sysctls=COOKIES),
        subflows=2,
        counted=SERVES | joined_by_us(),
        tcp_counted={"SyncookiesSent": 2, "SyncookiesRecv": 2},
    ),
    "no cookie, joined by us (control)": Row(
        plan=Plan(paths=2),
        subflows=2,
        counted=SERVES | joined_by_us(),
        tcp_counted={"SyncookiesSent": 0, "SyncookiesRecv": 0},
    ),
    "a cookie of the kernel's, joined by it": Row(
        plan=Plan(paths=2, sysctls=COOKIES, settings=PASSIVE),
        act=steps(advertise(1), until_live(2)),
        left=2,
        counted=SERVES | heard() | joined_by_kernel(),
        tcp_counted={"SyncookiesSent": 1, "SyncookiesRecv": 1},
    ),
    "a cookie of ours, joined by the kernel": Row(
        plan=Plan(
            paths=2,
            settings=PASSIVE | {"syn_cookies": "always"},
            endpoints=("{1} id 2 subflow",),
        ),
        stack_connects=False,
        subflows=2,
        counted=CALLS | joined_by_kernel(),
    ),
    "a cookie of ours, an address of ours": Row(
        plan=Plan(paths=2, settings={"syn_cookies": "always"}),
        stack_connects=False,
        subflows=2,
        counted=CALLS | heard() | joined_by_kernel(),
    ),
    "IPv4 in an IPv6 socket": Row(
        plan=Plan(paths=2, mapped=True), stack_connects=False, subflows=2,
        counted=CALLS | heard() | joined_by_kernel(),
    ),
}  # fmt: skip


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-27")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-13")
@pytest.mark.parametrize("row", params(FIRST_SUBFLOW))
def test_how_the_first_subflow_opens_decides_what_follows(row: Row) -> None:
    check(row)


MTUS = {
    f"v{family}, {mtu}, {'offload' if offload else 'none'}, "
    f"{'we connect' if connects else 'it connects'}": Row(
        plan=Plan(family=family, mtu=mtu, offload=offload, paths=2),
        stack_connects=connects,
        subflows=2,
        counted=opened(connects) | (joined_by_us() if connects else joined_by_kernel() | heard()),
        size=300_000,
    )
    for family, mtu in ((4, 576), (4, 9000), (4, 65535), (6, 1280), (6, 9000), (6, 65535))
    for offload, connects in ((True, True), (True, False), (False, True))
}


@pytest.mark.parametrize("row", params(MTUS))
def test_mtus(row: Row) -> None:
    check(row)


def changing(edit: type[MpJoinSyn | MpJoinAck]) -> Plan:
    """Return a plan with a box that forges what proves our join."""

    def forge(segment: Segment) -> Segment:
        segment.options = tuple(
            _forged(option) if isinstance(option, edit) else option for option in segment.options
        )
        return segment

    def wrap(path: int, driver: Driver) -> Driver:
        return Tampering(driver, outbound=forge) if path == 1 else driver

    return Plan(paths=2, wrap=wrap, settings=PASSIVE)


def _forged(option: MpJoinSyn | MpJoinAck) -> MpJoinSyn | MpJoinAck:
    if isinstance(option, MpJoinAck):
        return MpJoinAck(bytes(20))
    return MpJoinSyn(token=option.token ^ 1, nonce=option.nonce, address_id=option.address_id)


def refused(counter: str) -> Act:
    return steps(join(1), until_counted(counter), until_live(1))


REFUSALS = {
    "nothing forged (control)": Row(
        plan=Plan(paths=2, settings=PASSIVE),
        act=steps(join(1), until_live(2)),
        left=2,
        counted=SERVES | joined_by_us(),
    ),
    "one too many": Row(
        plan=Plan(paths=2, settings=PASSIVE, subflow_limit=0),
        act=refused("MPJoinRejected"),
        counted=SERVES | {"MPJoinSynRx": 1, "MPJoinRejected": 1},
        reason=3,
    ),
    "an unknown token": Row(
        plan=changing(MpJoinSyn),
        act=refused("MPJoinNoTokenFound"),
        counted=SERVES | {"MPJoinSynRx": 1, "MPJoinNoTokenFound": 1},
        reason=1,
    ),
    "a wrong key": Row(
        plan=changing(MpJoinAck),
        act=refused("MPJoinAckHMacFailure"),
        counted=SERVES | {"MPJoinSynRx": 1, "MPJoinAckHMacFailure": 1},
        reason=1,
    ),
}


@pytest.mark.rfc("8684", "3.2", "M8684-3.2-11")
@pytest.mark.rfc("8684", "3.2", "M8684-3.2-20")
@pytest.mark.parametrize("row", params(REFUSALS))
def test_joins_that_the_kernel_refuses(row: Row) -> None:
    check(row)
