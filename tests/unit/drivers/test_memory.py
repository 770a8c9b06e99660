from __future__ import annotations

import os
import select
from ipaddress import ip_address

from plait.drivers.base import Driver
from plait.drivers.memory import Station, exchange, pair
from plait.host.events import Accepted, Established
from plait.host.host import Host
from plait.host.settings import Settings
from plait.units import MILLISECOND, SECOND
from plait.wire.segment import ACK, Segment

HERE = ip_address("10.0.0.1")
THERE = ip_address("10.0.0.2")
FLOW = HERE.packed + THERE.packed + bytes(4)


def numbered(count: int, start: int = 0) -> list[Segment]:
    return [Segment(FLOW, seq, 0, ACK, 0) for seq in range(start, start + count)]


def readable(driver: Driver) -> bool:
    return bool(select.select([driver], [], [], 0)[0])


def test_segments_arrive_in_order_after_the_delay() -> None:
    here, there = pair([HERE], [THERE], delay=5)
    here.write_burst(100, numbered(3))
    assert there.next_timeout() == 105
    assert there.read_burst(104) == []
    assert [segment.seq for segment in there.read_burst(105)] == [0, 1, 2]
    assert there.next_timeout() is None


def test_a_read_stops_at_its_limit() -> None:
    here, there = pair([HERE], [THERE])
    here.write_burst(0, numbered(5))
    assert [len(there.read_burst(0, 2)) for _ in range(4)] == [2, 2, 1, 0]


def test_the_hook_loses_what_it_says() -> None:
    here, there = pair([HERE], [THERE])
    here.lose = lambda segment: segment.seq == 1
    here.write_burst(0, numbered(3))
    assert [segment.seq for segment in there.read_burst(0)] == [0, 2]
    assert here.counters.dropped == 1


def test_the_descriptor_is_readable_while_segments_are_new() -> None:
    here, there = pair([HERE], [THERE])
    assert not readable(there)
    here.write_burst(0, numbered(1))
    assert readable(there)
    there.read_burst(0)
    assert not readable(there)
    here.close()
    there.close()


def test_a_descriptor_made_late_is_readable_at_once() -> None:
    here, there = pair([HERE], [THERE])
    here.write_burst(0, numbered(1))
    assert readable(there)
    there.close()


def test_closing_gives_the_descriptor_back_and_parts_the_ends() -> None:
    here, there = pair([HERE], [THERE])
    descriptor = here.fileno()
    here.close()
    here.close()
    there.write_burst(0, numbered(2))
    assert there.counters.dropped == 2
    try:
        os.fstat(descriptor)
    except OSError:
        return
    raise AssertionError("the descriptor is still open")


def stations(delay: int) -> tuple[Station, Station]:
    here, there = pair([HERE], [THERE], delay=delay)
    hosts = (Host(Settings(), bytes(32)), Host(Settings(), b"\1" * 32))
    return Station(hosts[0], [here]), Station(hosts[1], [there])


def test_exchange_carries_a_conversation_in_virtual_time() -> None:
    one, other = stations(10 * MILLISECOND)
    other.host.listen(0, 80)
    connection_id = one.host.connect(0, THERE, 80)
    now = exchange(0, one, other, until=SECOND)
    assert 30 * MILLISECOND <= now <= SECOND
    assert Established(connection_id) in one.host.take_events()
    (accepted,) = [event for event in other.host.take_events() if isinstance(event, Accepted)]
    one.host.write(now, connection_id, b"x" * 100_000)
    now = exchange(now, one, other, until=now + SECOND)
    chunks = other.host.read_chunks(now, accepted.connection_id, 200_000)
    assert b"".join(chunks) == b"x" * 100_000


def test_exchange_repeats_itself_exactly() -> None:
    def run() -> list[int]:
        one, other = stations(7 * MILLISECOND)
        other.host.listen(0, 80)
        connection_id = one.host.connect(0, THERE, 80)
        times = [exchange(0, one, other, until=SECOND)]
        one.host.write(times[0], connection_id, bytes(300_000))
        times.append(exchange(times[0], one, other, until=times[0] + SECOND))
        return [*times, one.host.counters.out_segs, other.host.counters.out_segs]

    assert run() == run()
