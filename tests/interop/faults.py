"""Drivers that harm what passes: the negative controls of the interop tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plait.drivers.base import Driver, Wrapper
from plait.units import Nanos
from plait.wire.segment import Segment

Edit = Callable[[Segment], Segment | None]
"""Returns the segment, changed or not, or None to lose it."""


def keep(segment: Segment) -> Segment:
    return segment


class Tampering(Wrapper):
    """Applies one edit to what the stack sends and another to what it receives."""

    def __init__(self, inner: Driver, *, outbound: Edit = keep, inbound: Edit = keep) -> None:
        super().__init__(inner)
        self._outbound = outbound
        self._inbound = inbound

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        edited = (self._inbound(segment) for segment in super().read_burst(now, limit))
        return [segment for segment in edited if segment is not None]

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        edited = (self._outbound(segment) for segment in segments)
        super().write_burst(now, [segment for segment in edited if segment is not None])


def strip_mptcp(segment: Segment) -> Segment:
    """Remove every MPTCP option, as some middleboxes do."""
    segment.dss = None
    segment.options = tuple(option for option in segment.options if option.serialize()[0] != 30)
    return segment
