from __future__ import annotations

from io import BytesIO
from ipaddress import ip_address

from plait.drivers.capture import Capture, wall_clock_epoch
from plait.drivers.memory import pair
from plait.trace.pcap import PcapWriter, read_pcap
from plait.units import SECOND
from plait.wire.packet import parse_packet
from plait.wire.segment import ACK, Segment

HERE = ip_address("10.0.0.1")
THERE = ip_address("10.0.0.2")
LINKTYPE_RAW = 101


def make(source: bytes, destination: bytes, data: bytes, size: int = 0) -> Segment:
    segment = Segment(source + destination + bytes((0, 1, 0, 2)), 7, 8, ACK, 9, (data,), len(data))
    segment.segment_size = size
    return segment


def test_both_directions_are_recorded_and_passed_on() -> None:
    file = BytesIO()
    here, there = pair([HERE], [THERE])
    capture = Capture(here, PcapWriter(file), epoch=1_000_000 * SECOND)
    out = make(HERE.packed, THERE.packed, b"a" * 5000, 1000)
    back = make(THERE.packed, HERE.packed, b"bc")
    capture.write_burst(5 * SECOND, [out])
    there.write_burst(6 * SECOND, [back])
    assert there.read_burst(6 * SECOND) == [out]
    assert capture.read_burst(6 * SECOND) == [back]
    file.seek(0)
    records = list(read_pcap(file))
    assert [record.time // SECOND for record in records] == [1_000_005, 1_000_006]
    assert {record.link_type for record in records} == {LINKTYPE_RAW}
    parsed = [parse_packet(record.octets) for record in records]
    for segment, sent in zip(parsed, (out, back), strict=True):
        assert isinstance(segment, Segment)
        assert segment.flow == sent.flow
        assert b"".join(segment.payload) == b"".join(sent.payload)


def test_the_epoch_makes_wall_clock_time() -> None:
    assert wall_clock_epoch() > 0
