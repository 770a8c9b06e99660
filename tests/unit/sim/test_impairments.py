from __future__ import annotations

from ipaddress import ip_address
from random import Random

import pytest

from plait.errors import DecodeError
from plait.sim.impairments import Corrupt, Duplicate, Jitter, Reorder
from plait.sim.packet import Opaque, serialize
from plait.wire.packet import parse_packet
from plait.wire.segment import ACK, Segment

FLOW = ip_address("10.0.0.1").packed + ip_address("10.0.0.2").packed + bytes(4)
DATA = bytes(range(200))


def make(length: int = 200) -> Segment:
    return Segment(FLOW, 1, 2, ACK, 3, (DATA[:length],) if length else (), length)


def test_jitter_spreads_arrivals_and_keeps_their_order() -> None:
    jitter = Jitter(Random(1), 1000)
    times = [jitter.apply(at, make())[0][0] for at in range(0, 100_000, 100)]
    late = [time - at for time, at in zip(times, range(0, 100_000, 100), strict=True)]
    assert times == sorted(times)
    assert 0 <= min(late) < 250
    assert 900 < max(late) <= 1000


def test_some_packets_come_later() -> None:
    reorder = Reorder(Random(1), 0.25, 777)
    late = [reorder.apply(0, make())[0][0] for _ in range(4000)]
    assert set(late) == {0, 777}
    assert 0.22 < late.count(777) / 4000 < 0.28


def test_some_packets_come_twice() -> None:
    duplicate = Duplicate(Random(1), 0.25)
    counts = [len(duplicate.apply(0, make())) for _ in range(4000)]
    assert set(counts) == {1, 2}
    assert 0.22 < counts.count(2) / 4000 < 0.28


@pytest.mark.parametrize("header", [False, True])
def test_a_damaged_packet_has_one_bit_changed_and_a_wrong_checksum(header: bool) -> None:
    corrupt = Corrupt(Random(1), 1.0, header=header)
    before = int.from_bytes(serialize(make()), "big")
    for _ in range(200):
        ((_, packet),) = corrupt.apply(0, make())
        assert isinstance(packet, Opaque)
        changed = before ^ int.from_bytes(packet.content, "big")
        assert changed.bit_count() == 1
        assert (changed.bit_length() <= 200 * 8) is not header
        with pytest.raises(DecodeError, match="checksum"):
            parse_packet(packet.content)


def test_with_its_checksum_fixed_a_host_takes_the_changed_payload() -> None:
    corrupt = Corrupt(Random(1), 1.0, fixed=True)
    for _ in range(50):
        ((_, packet),) = corrupt.apply(0, make())
        assert isinstance(packet, Segment)
        assert packet.length == 200
        assert b"".join(packet.payload) != DATA
        parse_packet(serialize(packet))


def test_a_header_with_its_checksum_fixed_is_a_segment_or_nothing_a_host_understands() -> None:
    corrupt = Corrupt(Random(1), 1.0, header=True, fixed=True)
    kinds = set()
    for _ in range(500):
        ((_, packet),) = corrupt.apply(0, make())
        kinds.add(type(packet))
        assert packet.flow == FLOW
    assert kinds == {Segment, Opaque}


def test_what_has_no_payload_and_what_is_no_segment_is_spared() -> None:
    corrupt = Corrupt(Random(1), 1.0)
    bare, cross = make(0), Opaque(FLOW, 100)
    assert corrupt.apply(5, bare) == [(5, bare)]
    assert corrupt.apply(5, cross) == [(5, cross)]
