"""Which driver a segment leaves by: the one that serves its source address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plait.addresses import V4_FLOW
from plait.drivers.base import Driver
from plait.errors import UsageError
from plait.host.output import split
from plait.units import Nanos
from plait.wire.segment import Segment


class Routes:
    """The drivers of one host by the addresses they serve.

    `unrouted` counts segments whose source address no driver serves (any more).
    """

    def __init__(self, drivers: Sequence[Driver]) -> None:
        self.unrouted = 0
        self._by_source: dict[bytes, Driver] = {}
        for driver in drivers:
            for address in driver.addresses:
                if address.packed in self._by_source:
                    raise UsageError(f"two drivers serve {address}: give each its own addresses")
                self._by_source[address.packed] = driver

    def remove(self, driver: Driver) -> None:
        """Forget a driver; segments from its addresses go nowhere from now on."""
        for address in driver.addresses:
            self._by_source.pop(address.packed, None)

    def send(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Hand each segment to its driver, runs of one source at a time and in order."""
        for source, run in _runs(segments):
            driver = self._by_source.get(source)
            if driver is None:
                self.unrouted += len(run)
            elif driver.capabilities.segmentation:
                driver.write_burst(now, run)
            else:
                driver.write_burst(now, [piece for whole in run for piece in split(whole)])


def _runs(segments: Sequence[Segment]) -> Iterator[tuple[bytes, Sequence[Segment]]]:
    """Yield the source address, packed, and the segments of every run that shares it."""
    start = 0
    source = b""
    for at, segment in enumerate(segments):
        flow = segment.flow
        here = flow[:4] if len(flow) == V4_FLOW else flow[:16]
        if here != source:
            if at > start:
                yield source, segments[start:at]
            start = at
            source = here
    if start < len(segments):
        yield source, segments[start:]
