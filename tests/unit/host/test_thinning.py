"""Superseded acknowledgments are left out, and nothing that tells more."""

from __future__ import annotations

import pytest

from plait.host.thinning import thin
from plait.wire.mptcp.dss import DATA_ACK, DATA_ACK_8, DSN_8, MAPPING, Dss
from plait.wire.mptcp.mp_prio import MpPrio
from plait.wire.segment import ACK, FIN, Segment

FLOW = bytes(12)
OTHER = bytes(11) + b"\1"


def bare(ack: int, *, flow: bytes = FLOW) -> Segment:
    segment = Segment(flow, 1, ack & 0xFFFFFFFF, ACK, 100)
    segment.dss = Dss(DATA_ACK | DATA_ACK_8, ack)
    return segment


def test_only_the_last_of_a_run_is_kept() -> None:
    burst = [bare(ack) for ack in (10, 20, 30)]
    assert thin(burst) == [burst[-1]]


def test_numbers_may_wrap() -> None:
    burst = [bare(ack) for ack in (2**32 - 1, 2**32 + 1)]
    assert thin(burst) == [burst[-1]]


def with_sack(segment: Segment) -> None:
    segment.sack = ((1, 2),)


def with_option(segment: Segment) -> None:
    segment.options = (MpPrio(backup=True),)


def with_mapping(segment: Segment) -> None:
    segment.dss = Dss(MAPPING | DSN_8, 0, 1, 1, 1)


def without_dss(segment: Segment) -> None:
    segment.dss = None


def with_payload(segment: Segment) -> None:
    segment.payload, segment.length = (b"x",), 1


def with_fin(segment: Segment) -> None:
    segment.flags |= FIN


def of_another_flow(segment: Segment) -> None:
    segment.flow = OTHER


def duplicate(segment: Segment) -> None:
    segment.ack = 20


TELLING = [
    with_sack, with_option, with_mapping, without_dss, with_payload, with_fin, of_another_flow,
    duplicate,
]  # fmt: skip


@pytest.mark.parametrize("change", TELLING)
def test_what_tells_more_is_kept(change: object) -> None:
    first, second = bare(10), bare(20)
    assert callable(change)
    change(first)
    assert thin([first, second]) == [first, second]


def test_an_older_one_does_not_supersede() -> None:
    burst = [bare(20), bare(10)]
    assert thin(burst) == burst
