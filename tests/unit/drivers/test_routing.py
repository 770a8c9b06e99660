from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from plait.addresses import IpAddress, Path
from plait.drivers.base import Capabilities, Driver
from plait.drivers.routing import MAX_CROSSING, Routes
from plait.errors import UsageError
from plait.wire.segment import ACK, SYN, Segment

A, B, C = (ip_address(text) for text in ("10.0.0.1", "10.0.1.1", "fd09::1"))
FAR = {4: ip_address("10.0.0.9"), 6: ip_address("fd09::9")}


class Sink(Driver):
    """A driver that keeps what it is given."""

    def __init__(self, addresses: Sequence[IpAddress], *, segmentation: bool = True) -> None:
        super().__init__(
            Capabilities(mtu=1500, segmentation=segmentation, checksum=True), addresses
        )
        self.bursts: list[list[int]] = []

    def write_burst(self, now: int, segments: Sequence[Segment]) -> None:
        self.bursts.append([segment.seq for segment in segments])


def segment_from(source: IpAddress, seq: int, length: int = 0) -> Segment:
    flow = Path(source, 1, FAR[source.version], 2).flow_out()
    segment = Segment(flow, seq, 0, ACK, 0, (bytes(length),) if length else (), length)
    segment.segment_size = 100
    return segment


def test_each_source_has_its_driver_and_runs_stay_together() -> None:
    one, other = Sink([A, C]), Sink([B])
    sources = [A, A, B, A, C, C]
    Routes([one, other]).send(0, [segment_from(source, at) for at, source in enumerate(sources)])
    assert one.bursts == [[0, 1], [3, 4, 5]]
    assert other.bursts == [[2]]


def test_super_segments_are_cut_for_drivers_that_cannot() -> None:
    able, unable = Sink([A]), Sink([B], segmentation=False)
    Routes([able, unable]).send(0, [segment_from(A, 0, 250), segment_from(B, 0, 250)])
    assert able.bursts == [[0]]
    assert unable.bursts == [[0, 100, 200]]


def test_segments_of_a_lost_driver_are_counted() -> None:
    one = Sink([A])
    routes = Routes([one])
    routes.remove(one)
    routes.send(0, [segment_from(A, 0), segment_from(B, 0)])
    assert one.bursts == []
    assert routes.unrouted == 2


def syn_to(destination: IpAddress, flags: int = SYN) -> Segment:
    return Segment(Path(destination, 1, FAR[4], 2).flow_in(), 0, 0, flags, 0)


def test_a_subflow_is_answered_where_its_syn_came_from() -> None:
    one, other = Sink([A]), Sink([B])
    routes = Routes([one, other])
    routes.learn(other, [syn_to(A)])
    routes.send(0, [segment_from(A, 0), segment_from(B, 1)])
    assert (one.bursts, other.bursts) == ([], [[0, 1]])
    routes.learn(one, [syn_to(A)])
    routes.send(0, [segment_from(A, 2)])
    assert one.bursts == [[2]]


def test_later_segments_teach_nothing() -> None:
    one, other = Sink([A]), Sink([B])
    routes = Routes([one, other])
    routes.learn(other, [syn_to(A, flags) for flags in (ACK, SYN | ACK)])
    routes.send(0, [segment_from(A, 0)])
    assert one.bursts == [[0]]


def test_a_lost_driver_is_unlearned() -> None:
    one, other = Sink([A]), Sink([B])
    routes = Routes([one, other])
    routes.learn(other, [syn_to(A)])
    routes.remove(other)
    routes.send(0, [segment_from(A, 0)])
    assert one.bursts == [[0]]


def test_what_is_learned_has_a_bound() -> None:
    one, other = Sink([A]), Sink([B])
    routes = Routes([one, other])
    for port in range(MAX_CROSSING + 1):
        flow = Path(A, port, FAR[4], 2).flow_in()
        routes.learn(other, [Segment(flow, 0, 0, SYN, 0)])
    for port in (0, 1):
        flow = Path(A, port, FAR[4], 2).flow_out()
        routes.send(0, [Segment(flow, port, 0, ACK, 0)])
    assert (one.bursts, other.bursts) == ([[0]], [[1]])


def test_nothing_to_send() -> None:
    one = Sink([A])
    Routes([one]).send(0, [])
    assert one.bursts == []


def test_an_address_has_one_driver() -> None:
    with pytest.raises(UsageError, match=r"10\.0\.0\.1"):
        Routes([Sink([A]), Sink([A])])
