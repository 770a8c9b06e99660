from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from plait.drivers.base import NO_DESCRIPTOR, Capabilities, Driver, Wrapper
from plait.wire.icmp import IcmpError
from plait.wire.segment import ACK, Segment


class Scripted(Driver):
    """A driver whose every answer is known."""

    def __init__(self) -> None:
        super().__init__(
            Capabilities(mtu=1400, segmentation=False, checksum=False), [ip_address("10.0.0.1")]
        )
        self.written: list[Segment] = []
        self.closed = False

    def fileno(self) -> int:
        return 77

    def read_burst(self, now: int, limit: int = 64) -> list[Segment]:
        return [Segment(b"", now, limit, ACK, 0)]

    def write_burst(self, now: int, segments: Sequence[Segment]) -> None:
        self.written += segments

    def next_timeout(self) -> int | None:
        return 5

    def close(self) -> None:
        self.closed = True

    def fail(self, error: IcmpError) -> None:
        self._errors.append(error)


def icmp(version: int, kind: int, code: int) -> IcmpError:
    return IcmpError(version=version, type=kind, code=code, mtu=0, flow=bytes(12), seq=0)


def test_a_wrapper_passes_everything_through() -> None:
    inner = Scripted()
    outer = Wrapper(inner)
    segment = Segment(b"", 1, 2, ACK, 3)
    outer.write_burst(0, [segment])
    inner.fail(icmp(4, 3, 1))
    assert inner.written == [segment]
    assert outer.capabilities == inner.capabilities
    assert outer.addresses == inner.addresses
    assert outer.fileno() == 77
    assert outer.read_burst(8, 9) == [Segment(b"", 8, 9, ACK, 0)]
    assert outer.next_timeout() == 5
    assert outer.counters is inner.counters
    assert outer.take_errors() == [icmp(4, 3, 1)]
    assert inner.take_errors() == []
    outer.close()
    assert inner.closed


def test_a_driver_without_descriptor_or_clock_says_so() -> None:
    plain = Driver(Capabilities(mtu=1500, segmentation=True, checksum=True), [])
    assert plain.fileno() == NO_DESCRIPTOR
    assert plain.next_timeout() is None
    assert plain.take_errors() == []
