"""A driver wrapper that records what passes in a capture file."""

from __future__ import annotations

import time
from collections.abc import Sequence

from plait.drivers.base import Driver, Wrapper
from plait.trace.pcap import PcapWriter
from plait.units import Nanos
from plait.wire.packet import serialize_packet
from plait.wire.segment import Segment


def wall_clock_epoch() -> Nanos:
    """Return what to add to monotonic time to get nanoseconds since 1970."""
    return time.time_ns() - time.monotonic_ns()


class Capture(Wrapper):
    """Writes every segment read or written as one packet, checksums completed.

    Super-segments are recorded whole, as a capture inside the kernel shows them.

    Args:
        inner: The driver to watch.
        writer: Where packets go; several captures may share it, and its owner closes its file.
        epoch: Added to the host's time, so that the file holds nanoseconds since 1970.
    """

    def __init__(self, inner: Driver, writer: PcapWriter, epoch: Nanos = 0) -> None:
        super().__init__(inner)
        self._writer = writer
        self._epoch = epoch

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        """Record and return what arrived."""
        segments = self._inner.read_burst(now, limit)
        self._record(now, segments)
        return segments

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        """Record and send."""
        self._record(now, segments)
        self._inner.write_burst(now, segments)

    def _record(self, now: Nanos, segments: Sequence[Segment]) -> None:
        for segment in segments:
            self._writer.write(now + self._epoch, serialize_packet(segment))
