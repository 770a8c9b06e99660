from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.emulation import Link as EmulatedLink
from plait.drivers.emulation import LinkShape
from plait.sim.clock import Clock
from plait.sim.impairments import Duplicate, Impairment, Reorder
from plait.sim.link import Link
from plait.sim.loss import Mask
from plait.sim.node import Node
from plait.sim.packet import Packet
from plait.sim.queue import CoDel, Queue, Red
from plait.sim.rate import Constant
from plait.units import MILLISECOND, SECOND
from plait.wire.segment import ACK, Segment

FLOW = ip_address("10.0.0.1").packed + ip_address("10.0.0.2").packed + bytes(4)
HEADERS = 40
MBIT8 = Constant(8_000_000)  # 1 octet takes 1 us


class Collector(Node):
    """Remembers what arrives, and what did not fit."""

    def __init__(self) -> None:
        super().__init__("collector")
        self.arrived: list[tuple[int, int]] = []
        self.packets: list[Packet] = []
        self.refused: list[Packet] = []

    def receive(self, now: int, packet: Packet, port: int) -> None:
        assert isinstance(packet, Segment)
        self.arrived.append((now, packet.seq))
        self.packets.append(packet)

    def on_too_big(self, now: int, packet: Packet, link: Link) -> None:
        self.refused.append(packet)


def make(length: int, seq: int = 0) -> Segment:
    return Segment(FLOW, seq, 0, ACK, 0, (bytes(length),) if length else (), length)


class Bench:
    def __init__(
        self,
        rate: Constant | None = MBIT8,
        delay: int = 0,
        queue: Queue | None = None,
        impairments: Sequence[Impairment] = (),
        mask: str = ".",
    ) -> None:
        self.clock = Clock()
        self.link = Link(
            self.clock,
            "link",
            rate=rate,
            delay=delay,
            queue=queue,
            loss=Mask(mask),
            impairments=impairments,
        )
        self.there = Collector()
        self.link.target = self.there
        self.link.source = self.there

    def send(self, *lengths: int, at: int = 0) -> None:
        self.clock.run(at)
        for number, length in enumerate(lengths):
            self.link.send(make(length, number))

    def arrivals(self) -> list[tuple[int, int]]:
        self.clock.run(100 * SECOND)
        return self.there.arrived


def test_a_packet_takes_its_transmission_time_and_the_delay() -> None:
    bench = Bench(delay=10 * MILLISECOND)
    bench.send(960, 460)
    assert bench.arrivals() == [(11 * MILLISECOND, 0), (11 * MILLISECOND + 500_000, 1)]


def test_an_idle_link_starts_at_once() -> None:
    bench = Bench()
    bench.send(960)
    bench.send(960, at=5 * MILLISECOND)
    assert [time for time, _ in bench.arrivals()] == [MILLISECOND, 6 * MILLISECOND]


def test_without_rate_and_delay_packets_arrive_in_the_same_instant() -> None:
    bench = Bench(rate=None)
    bench.send(960, 960, 960)
    assert bench.arrivals() == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize("queue", [Queue(packets=3), Queue(octets=3000)], ids=["packets", "octets"])
def test_a_full_queue_drops_the_tail_and_has_room_again_later(queue: Queue) -> None:
    bench = Bench(queue=queue)
    bench.send(960, 960, 960, 960)
    bench.send(960, at=MILLISECOND)
    assert [seq for _, seq in bench.arrivals()] == [0, 1, 2, 0]
    assert bench.link.counters.overflowed == 1
    assert bench.link.counters.longest == 3000


def test_a_packet_is_lost_on_the_wire_after_it_took_its_time() -> None:
    bench = Bench(mask="x.")
    bench.send(960, 960)
    assert bench.arrivals() == [(2 * MILLISECOND, 1)]
    assert bench.link.counters.lost == 1


def test_a_cut_loses_what_waits_and_what_is_on_the_wire() -> None:
    bench = Bench(delay=10 * MILLISECOND)
    bench.send(960, 960)
    bench.clock.run(MILLISECOND)
    bench.link.set_up(up=False)
    bench.send(960, at=2 * MILLISECOND)
    bench.clock.run(3 * MILLISECOND)
    bench.link.set_up(up=True)
    bench.send(960, at=3 * MILLISECOND)
    assert bench.arrivals() == [(14 * MILLISECOND, 0)]
    assert bench.link.counters.lost == 3
    assert bench.link.queued() == 0


def test_what_is_larger_than_the_mtu_goes_back_to_its_node() -> None:
    bench = Bench()
    bench.send(1461)
    assert not bench.arrivals()
    assert len(bench.there.refused) == 1
    bench.link.talkative = False
    bench.link.send(make(1461))
    assert len(bench.there.refused) == 1
    assert bench.link.counters.too_big == 2


def test_packets_held_back_are_overtaken() -> None:
    bench = Bench(impairments=[Reorder(Random(1), 0.5, 10 * MILLISECOND)])
    bench.send(*[960] * 20)
    order = [seq for _, seq in bench.arrivals()]
    assert sorted(order) == list(range(20))
    assert order != sorted(order)
    assert [time for time, _ in bench.there.arrived] == sorted(
        time for time, _ in bench.there.arrived
    )


def test_impairments_follow_each_other() -> None:
    twice = Duplicate(Random(1), 1.0)
    bench = Bench(impairments=[twice, twice])
    bench.send(960)
    assert bench.arrivals() == [(MILLISECOND, 0)] * 4


def test_serialized_packets_are_equal_and_not_the_same() -> None:
    bench = Bench()
    bench.link.serialize = True
    segment = make(100)
    bench.link.send(segment)
    bench.arrivals()
    (arrived,) = bench.there.packets
    assert arrived is not segment
    assert isinstance(arrived, Segment)
    assert b"".join(arrived.payload) == bytes(100)


def test_codel_lets_a_standing_queue_shrink() -> None:
    def longest_after(queue: Queue) -> int:
        bench = Bench(queue=queue)
        for at in range(0, 2000, 20):  # 21 packets of 1 ms each 20 ms, for two seconds
            bench.send(*[960] * 21, at=at * MILLISECOND)
        return bench.link.queued()

    assert longest_after(Queue()) > 90_000
    assert longest_after(CoDel()) < 60_000


@pytest.mark.parametrize("cut", [False, True], ids=["idle", "down"])
def test_a_queue_with_a_memory_hears_of_idle_time(cut: bool) -> None:
    """Packets of 1 ms: the average is above 10 after the first burst, where all are dropped."""
    red = Red(Random(1), low=2, high=4, most=1, weight=0.1, packet_time=MILLISECOND)
    bench = Bench(queue=red)
    bench.send(*[960] * 40)
    dropped = bench.link.counters.overflowed
    assert dropped > 0
    bench.clock.run(SECOND)
    if cut:
        bench.link.set_up(False)
        bench.link.set_up(True)
    bench.send(*[960] * 3, at=2 * SECOND)
    assert bench.link.counters.overflowed == dropped


def test_a_late_queue_is_as_fast_as_any_while_it_drops_nothing() -> None:
    late, early = Bench(queue=CoDel()), Bench(queue=Queue())
    for bench in (late, early):
        bench.send(960, 100, 500)
        bench.send(300, 900, at=1_640_000)  # when the second is through
    assert late.arrivals() == early.arrivals()


SENT = st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 1400)), max_size=40)


@given(sent=SENT, delay=st.integers(0, 10**6))
def test_without_drops_it_is_the_link_of_the_emulator(
    sent: list[tuple[int, int]], delay: int
) -> None:
    bench = Bench(delay=delay)
    other = EmulatedLink(LinkShape(rate=8_000_000, delay=delay, queue=10**9), Random(1))
    for number, (time, length) in enumerate(sorted(sent)):
        bench.clock.run(time)
        bench.link.send(make(length, number))
        other.push(time, make(length, number))
    expected = []
    while (due := other.next_arrival()) is not None:
        expected += [(due, segment.seq) for segment in other.pop(due, 1)]
    assert bench.arrivals() == expected


@given(SENT)
def test_every_packet_ends_somewhere(sent: list[tuple[int, int]]) -> None:
    bench = Bench(queue=Queue(packets=3), mask="..x.x", impairments=[])
    for time, length in sorted(sent):
        bench.send(length, at=time)
    bench.arrivals()
    counters = bench.link.counters
    assert counters.sent == counters.delivered + counters.overflowed + counters.lost
    assert bench.link.transmitted() == counters.octets
