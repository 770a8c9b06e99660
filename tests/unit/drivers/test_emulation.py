from __future__ import annotations

from ipaddress import ip_address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.emulation import GRAIN, Emulation, Link, LinkShape, wire_octets
from plait.drivers.memory import pair
from plait.errors import UsageError
from plait.units import MILLISECOND, SECOND
from plait.wire.segment import ACK, Segment

HERE = ip_address("10.0.0.1")
THERE = ip_address("10.0.0.2")
FLOW = HERE.packed + THERE.packed + bytes(4)
HEADERS = 40


def make(length: int, size: int = 0, seq: int = 0) -> Segment:
    segment = Segment(FLOW, seq, 0, ACK, 0, (bytes(length),) if length else (), length)
    segment.segment_size = size
    return segment


def link(**shape: float) -> Link:
    return Link(LinkShape(**shape), Random(1))  # type: ignore[arg-type]  # a table of numbers


def arrivals(under_test: Link, until: int) -> list[tuple[int, Segment]]:
    out = []
    while (due := under_test.next_arrival()) is not None and due <= until:
        out += [(due, segment) for segment in under_test.pop(due, 1)]
    return out


def test_a_packet_takes_its_transmission_time_and_the_delay() -> None:
    path = link(rate=8_000_000, delay=10 * MILLISECOND)  # 1 octet takes 1 us
    path.push(0, make(960))
    path.push(0, make(460))
    times = [due for due, _ in arrivals(path, SECOND)]
    assert times == [11 * MILLISECOND, 11 * MILLISECOND + 500_000]


def test_an_idle_link_starts_at_once() -> None:
    path = link(rate=8_000_000)
    path.push(0, make(960))
    path.push(5 * MILLISECOND, make(960))
    assert [due for due, _ in arrivals(path, SECOND)] == [MILLISECOND, 6 * MILLISECOND]


def test_a_full_queue_drops_the_tail() -> None:
    path = link(rate=8_000_000, queue=3000)
    for seq in range(5):
        path.push(0, make(960, seq=seq))
    assert [segment.seq for _, segment in arrivals(path, SECOND)] == [0, 1, 2]
    assert path.overflowed == 2
    path.push(SECOND, make(960, seq=9))
    assert [segment.seq for _, segment in arrivals(path, 2 * SECOND)] == [9]


def test_a_super_segment_pays_for_the_headers_of_its_pieces() -> None:
    assert wire_octets(make(1000)) == 1000 + HEADERS
    assert wire_octets(make(1000, 1000)) == 1000 + HEADERS
    assert wire_octets(make(1001, 1000)) == 1001 + 2 * HEADERS
    assert wire_octets(make(5000, 1000)) == 5000 + 5 * HEADERS


@pytest.mark.parametrize(
    ("shape", "pieces"),
    [
        ({}, 1),
        ({"rate": 1_000_000_000}, 1),
        ({"rate": 1_000_000}, 10),
        ({"loss": 1e-9}, 10),
        ({"rate": 1_000_000_000, "queue": 5000}, 10),
    ],
)
def test_super_segments_stay_whole_where_nobody_can_tell(
    shape: dict[str, float], pieces: int
) -> None:
    path = link(**shape)
    path.push(0, make(10_000, 1000))
    assert len(arrivals(path, SECOND)) + path.overflowed == pieces


@given(
    rate=st.integers(100_000, 10_000_000_000),
    lengths=st.lists(st.integers(1, 60_000), min_size=1, max_size=20),
)
def test_the_rate_is_kept_whatever_is_cut(rate: int, lengths: list[int]) -> None:
    path = link(rate=rate, queue=1 << 40)
    for length in lengths:
        path.push(0, make(length, 1400))
    arrived = arrivals(path, 1 << 62)
    octets = sum(wire_octets(make(length, 1400)) for length in lengths)
    assert path.octets == octets
    assert sum(segment.length for _, segment in arrived) == sum(lengths)
    exact = octets * 8 * SECOND / rate
    assert exact - len(arrived) <= arrived[-1][0] <= exact
    for _, segment in arrived:
        whole = segment.segment_size and segment.length > segment.segment_size
        assert not whole or wire_octets(segment) * 8 * SECOND // rate <= GRAIN


def test_loss_is_as_probable_as_said_and_repeats_with_the_seed() -> None:
    def lost() -> tuple[int, list[int]]:
        path = link(loss=0.25)
        for seq in range(4000):
            path.push(0, make(10, seq=seq))
        return path.lost, [segment.seq for _, segment in arrivals(path, SECOND)]

    count, kept = lost()
    assert 900 < count < 1100
    assert count + len(kept) == 4000
    assert lost() == (count, kept)


@pytest.mark.parametrize(
    "shape", [{"rate": 0}, {"rate": -1}, {"delay": -1}, {"queue": -1}, {"loss": 1.5}, {"loss": -1}]
)
def test_impossible_shapes_are_refused(shape: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        link(**shape)


def emulated(sending: LinkShape, receiving: LinkShape | None = None) -> tuple[Emulation, Emulation]:
    here, there = pair([HERE], [THERE])
    return Emulation(here, sending, receiving), Emulation(there, LinkShape())


def test_directions_differ() -> None:
    slow = LinkShape(delay=50)
    here, there = emulated(slow, LinkShape(delay=7))
    here.write_burst(0, [make(1)])
    there.write_burst(0, [make(2)])
    assert here.next_timeout() == 0  # the inner driver has something
    assert here.read_burst(0) == []
    assert here.next_timeout() == 7
    assert [segment.length for segment in here.read_burst(7)] == [2]
    assert here.next_timeout() == 50
    assert there.next_timeout() is None
    assert here.read_burst(50) == []
    assert [segment.length for segment in there.read_burst(50)] == [1]


def test_one_shape_serves_both_directions() -> None:
    here, there = emulated(LinkShape(delay=50))
    there.write_burst(0, [make(2)])
    assert here.read_burst(0) == []
    assert len(here.read_burst(50)) == 1


def test_a_cut_loses_what_is_on_its_way_and_what_follows() -> None:
    here, there = emulated(LinkShape(delay=50))
    here.write_burst(0, [make(3000, 1000)])
    here.cut()
    here.write_burst(10, [make(1)])
    there.write_burst(10, [make(1)])
    assert here.read_burst(100) == []
    assert there.read_burst(100) == []
    assert here.next_timeout() is None
    assert here.sending.lost == 4
    assert here.receiving.lost == 1
    here.restore()
    here.write_burst(200, [make(5)])
    here.read_burst(250)
    assert [segment.length for segment in there.read_burst(250)] == [5]


def test_segments_read_beyond_the_limit_come_next_time() -> None:
    here, there = emulated(LinkShape(delay=5))
    there.write_burst(0, [make(1, seq=seq) for seq in range(10)])
    here.read_burst(0)
    assert [len(here.read_burst(5, 4)) for _ in range(4)] == [4, 4, 2, 0]


def test_losses_come_in_bursts_of_the_mean_length() -> None:
    path = link(burst_start=0.01, burst_stop=0.25)
    fates = []
    for at in range(40_000):
        path.push(at, make(100, seq=at))
        fates.append(not path.pop(at, 1))
    bursts = sum(lost and not before for before, lost in zip([False, *fates], fates, strict=False))
    assert sum(fates) / bursts == pytest.approx(4, rel=0.15)
    assert bursts == pytest.approx(0.01 * (len(fates) - sum(fates)), rel=0.15)


def test_late_packets_are_overtaken() -> None:
    path = link(late=0.2, lateness=10)
    for at in range(1000):
        path.push(at, make(100, seq=at))
    out = arrivals(path, SECOND)
    assert [due for due, _ in out] == sorted(due for due, _ in out)
    late = [segment.seq for due, segment in out if due == segment.seq + 10]
    assert len(late) == pytest.approx(200, rel=0.2)
    assert len(late) + sum(due == segment.seq for due, segment in out) == 1000


def test_a_stall_keeps_packets_until_it_is_over() -> None:
    path = link(stall_at=100, stall=50)
    times = [0, 99, 100, 149, 150]
    for at in times:
        path.push(1000 + at, make(100))
    assert [due - 1000 for due, _ in arrivals(path, SECOND)] == [0, 99, 150, 150, 150]


def test_a_gap_takes_packets_with_payload_once() -> None:
    path = link(gap_at=250, gap=2)
    for seq in range(8):
        path.push(seq, make(0 if seq == 3 else 100, seq=seq))
    assert [segment.seq for _, segment in arrivals(path, SECOND)] == [0, 1, 3, 5, 6, 7]
    assert path.lost == 2


def test_what_crosses_is_pending_until_it_has_arrived() -> None:
    here, there = emulated(LinkShape(delay=MILLISECOND))
    assert not here.pending()
    here.write_burst(0, [make(10)])
    assert here.pending()
    here.read_burst(MILLISECOND)
    assert not here.pending()
    assert there.pending()  # it has crossed, and waits to be read
