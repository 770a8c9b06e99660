"""Which driver a segment leaves by: the one that serves its source address.

A subflow that a peer opened across networks, to an address of one driver by way of another, is
answered where its SYN came from: its other way may not exist, or be cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plait.addresses import V4_FLOW
from plait.drivers.base import Driver
from plait.errors import UsageError
from plait.host.output import split
from plait.host.reset import reverse_flow
from plait.units import Nanos
from plait.wire.segment import ACK, SYN, Segment

MAX_CROSSING: Final = 4096
"""Flows remembered that arrived by another driver than their address; the oldest go first."""


class Routes:
    """The drivers of one host by the addresses they serve.

    `unrouted` counts segments whose source address no driver serves (any more).
    """

    def __init__(self, drivers: Sequence[Driver]) -> None:
        self.unrouted = 0
        self._by_source: dict[bytes, Driver] = {}
        self._crossing: dict[bytes, Driver] = {}
        for driver in drivers:
            for address in driver.addresses:
                if address.packed in self._by_source:
                    raise UsageError(f"two drivers serve {address}: give each its own addresses")
                self._by_source[address.packed] = driver

    def remove(self, driver: Driver) -> None:
        """Forget a driver; segments from its addresses go nowhere from now on."""
        for address in driver.addresses:
            self._by_source.pop(address.packed, None)
        for flow in [flow for flow, used in self._crossing.items() if used is driver]:
            del self._crossing[flow]

    def learn(self, driver: Driver, segments: Sequence[Segment]) -> None:
        """Note by which driver peers open subflows; call this with all that a driver reads."""
        for segment in segments:
            if segment.flags & (SYN | ACK) == SYN:
                self._learn(driver, reverse_flow(segment.flow))

    def _learn(self, driver: Driver, flow: bytes) -> None:
        self._crossing.pop(flow, None)
        if self._by_source.get(_source(flow)) is driver:
            return
        if len(self._crossing) >= MAX_CROSSING:
            del self._crossing[next(iter(self._crossing))]
        self._crossing[flow] = driver

    def send(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Hand each segment to its driver, runs for one driver at a time and in order."""
        start = 0
        flow = b""
        driver: Driver | None = None
        for at, segment in enumerate(segments):
            if segment.flow != flow:
                flow = segment.flow
                chosen = self._crossing.get(flow) or self._by_source.get(_source(flow))
                if chosen is not driver:
                    self._send(now, driver, segments[start:at])
                    start = at
                    driver = chosen
        self._send(now, driver, segments[start:])

    def _send(self, now: Nanos, driver: Driver | None, run: Sequence[Segment]) -> None:
        if driver is None:
            self.unrouted += len(run)
        elif driver.capabilities.segmentation:
            driver.write_burst(now, run)
        else:
            driver.write_burst(now, [piece for whole in run for piece in split(whole)])


def _source(flow: bytes) -> bytes:
    """Return the source address of a flow, packed."""
    return flow[:4] if len(flow) == V4_FLOW else flow[:16]
