"""Super-segments cut into datagrams and joined again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.udp.trains import MAX_DATAGRAMS, MAX_OCTETS, Joiner, trains
from plait.host.output import split
from plait.wire.mptcp.dss import Dss
from plait.wire.segment import ACK, CWR, FIN, PSH, SYN, URG, Segment
from plait.wire.tcp import parse_tcp, tcp_header

ID = b"a peer's"
FLOW = bytes(range(12))


def super_segment(
    length: int, size: int, *, flags: int = ACK, seq: int = 1000, pieces: int = 1
) -> Segment:
    data = bytes(number % 251 for number in range(length))
    cuts = [length * number // pieces for number in range(pieces + 1)]
    payload = tuple(data[a:b] for a, b in pairwise(cuts) if a < b)
    made = Segment(FLOW, seq, 77, flags, 5, payload, length)
    made.segment_size = size
    made.ts_val = 9
    made.dss = Dss(0, 0)
    return made


segments = st.builds(
    super_segment,
    st.integers(1, 70_000),
    st.sampled_from([0, 100, 536, 1412, 1460, 9000]),
    flags=st.sampled_from([ACK, ACK | PSH, ACK | PSH | FIN, ACK | CWR]),
    seq=st.sampled_from([0, 1000, (1 << 32) - 2000, (1 << 32) - 1]),
    pieces=st.integers(1, 4),
)


def datagrams(segment: Segment, most: int) -> list[bytes]:
    made: list[bytes] = []
    for octets, size in trains(ID, segment, most):
        step = size or len(octets)
        assert len(octets) <= max(MAX_OCTETS, step)
        assert -(-len(octets) // step) <= most
        made += [bytes(octets[at : at + step]) for at in range(0, len(octets), step)]
    return made


@given(segment=segments)
def test_offload_on_and_off_send_what_software_segmentation_makes(segment: Segment) -> None:
    wanted = [b"".join((ID, tcp_header(piece), *piece.payload)) for piece in split(segment)]
    assert datagrams(segment, MAX_DATAGRAMS) == wanted
    assert datagrams(segment, 1) == wanted


def joined(arrivals: list[tuple[bytes, int]], mark: object = "here") -> list[Segment]:
    """Read like the driver does."""
    joiner = Joiner()
    found: list[Segment] = []
    for octets, size in arrivals:
        at = 0
        while at < len(octets):
            after = joiner.extend(octets, at, size, mark)
            if after > at:
                at = after
                continue
            stop = min(at + size, len(octets))
            segment = parse_tcp(FLOW, octets, at + len(ID), stop)
            joiner.begin(octets, at, segment, mark)
            found.append(segment)
            at = stop
    joiner.finish()
    return found


@given(segment=segments, whole=st.booleans())
def test_joining_inverts_cutting(segment: Segment, whole: bool) -> None:
    most = MAX_DATAGRAMS if whole else 1
    arrivals = [(bytes(octets), size or len(octets)) for octets, size in trains(ID, segment, most)]
    found = joined(arrivals)
    assert b"".join(bytes(p) for one in found for p in one.payload) == b"".join(
        bytes(p) for p in segment.payload
    )
    position = segment.seq
    for one in found:
        assert one.seq == position
        assert one.length == sum(map(len, one.payload))
        assert (one.ack, one.window, one.ts_val) == (77, 5, 9)
        position = (position + one.length) & 0xFFFF_FFFF
    flags = 0
    for one in found:
        flags |= one.flags
    assert flags == segment.flags
    if segment.segment_size >= 536:
        assert len(found) <= 2 + segment.length // 60_000


DIFFERENCES = {
    "session": 0,
    "source port": 8,
    "sequence number": 15,
    "acknowledgment": 19,
    "flags": 21,
    "window": 23,
    "urgent pointer": 27,
    "timestamp": 35,
}


@pytest.mark.parametrize("at", DIFFERENCES.values(), ids=DIFFERENCES.keys())
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_datagram_that_differs_begins_anew(at: int, number: int) -> None:
    segment = super_segment(5000, 1000)
    ((octets, size),) = trains(ID, segment, MAX_DATAGRAMS)
    changed = bytearray(octets)
    changed[number * size + at] ^= URG
    lengths = [one.length for one in joined([(bytes(changed), size)])]
    assert sum(lengths) == 5000
    assert lengths[0] == number * 1000
    assert len(lengths) == (2 if number == 4 else 3)


def test_what_comes_from_elsewhere_or_differs_in_marks_is_not_joined() -> None:
    joiner = Joiner()
    ((octets, size),) = trains(ID, super_segment(3000, 1000), MAX_DATAGRAMS)
    joiner.begin(bytes(octets), 0, parse_tcp(FLOW, octets, len(ID), size), "here")
    assert joiner.extend(bytes(octets), size, size, "there") == size
    assert joiner.extend(bytes(octets), size, size, "here") == len(octets)


@pytest.mark.parametrize("flags", [SYN, ACK | PSH, ACK | FIN, ACK | URG])
def test_only_plain_data_is_continued(flags: int) -> None:
    joiner = Joiner()
    ((octets, size),) = trains(ID, super_segment(3000, 1000), MAX_DATAGRAMS)
    first = parse_tcp(FLOW, octets, len(ID), size)
    first.flags = flags
    joiner.begin(bytes(octets), 0, first, "here")
    assert joiner.extend(bytes(octets), size, size, "here") == size
