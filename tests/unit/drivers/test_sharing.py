"""Segments from one process to another: whole, bounded, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from plait.addresses import Path
from plait.drivers.sharing import BURST, Exchange
from plait.sim.packet import copy_segment
from plait.wire.mptcp.dss import DATA_ACK, DATA_ACK_8, Dss
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.segment import ACK, FIN, PSH, SYN, Segment
from plait.wire.tcp_options import Mss, SackPermitted, WindowScale

FLOW = {
    4: Path(ip_address("10.0.0.1"), 1000, ip_address("10.0.0.2"), 80).flow_out(),
    6: Path(ip_address("fd00::1"), 1000, ip_address("fd00::2"), 80).flow_out(),
}


Make = Callable[[int], list[Exchange]]


@pytest.fixture
def make_exchanges() -> Iterator[Make]:
    made: list[Exchange] = []

    def make(count: int) -> list[Exchange]:
        made.extend(Exchange.make(count))
        return made

    yield make
    for one in made:
        one.close()


def syn(version: int) -> Segment:
    segment = Segment(FLOW[version], 7, 0, SYN, 65535)
    join = MpJoinSyn(token=1, nonce=2, address_id=3)
    segment.options = (Mss(1460), SackPermitted(), WindowScale(7), join)
    segment.ts_val, segment.ts_ecr = 5, 6
    return segment


def burst(version: int) -> Segment:
    data = bytes(range(250)) * 240
    segment = Segment(FLOW[version], 1 << 31, 9, ACK | PSH | FIN, 100, (data,), len(data))
    segment.segment_size = 1400
    segment.dss = Dss(DATA_ACK | DATA_ACK_8, 77)
    segment.ecn = 3
    return segment


def told(segment: Segment) -> tuple[object, ...]:
    """Return what must not change; pieces and the order of options may."""
    return (
        segment.flow,
        segment.seq,
        segment.ack,
        segment.flags,
        segment.window,
        b"".join(segment.payload),
        segment.segment_size,
        segment.ts_val,
        segment.ts_ecr,
        segment.dss,
        frozenset(segment.options),
        segment.ecn,
    )


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("make", [syn, burst])
@pytest.mark.parametrize("passes", [0, 14])
def test_what_arrives_is_what_was_given(
    version: int, make: Callable[[int], Segment], passes: int, make_exchanges: Make
) -> None:
    first, second = make_exchanges(2)
    given = make(version)
    first.send(copy_segment(given), 1, passes)
    ((taken, left),) = second.read()
    assert told(taken) == told(given)
    assert left == passes
    assert (first.counters.handed_over, second.counters.taken_over) == (1, 1)


def test_each_has_an_inbox_of_its_own(make_exchanges: Make) -> None:
    every = make_exchanges(3)
    for to in (1, 2, 2):
        every[0].send(syn(4), to, 0)
    assert [len(one.read()) for one in every] == [0, 1, 2]


def test_a_full_inbox_loses_what_comes_and_no_more(make_exchanges: Make) -> None:
    first, second = make_exchanges(2)
    for _ in range(1000):
        first.send(burst(4), 1, 0)
    counted = first.counters
    assert counted.dropped > 900
    assert counted.handed_over + counted.dropped == 1000
    assert len(second.read()) == counted.handed_over
    first.send(burst(4), 1, 0)
    assert len(second.read()) == 1


def test_a_read_is_bounded(make_exchanges: Make) -> None:
    first, second = make_exchanges(2)
    for _ in range(BURST + 5):
        first.send(syn(4), 1, 0)
    assert [len(second.read()) for _ in range(3)] == [BURST, 5, 0]


def test_an_inbox_that_is_gone_takes_nothing(make_exchanges: Make) -> None:
    first, second = make_exchanges(2)
    second.close()
    first.send(syn(4), 1, 0)
    assert first.counters.dropped == 1
