"""Drivers that harm what passes: the negative controls of the interop tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plait.drivers.base import Driver, Wrapper
from plait.units import Nanos
from plait.wire.segment import ACK, RST, Segment

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


class Corrupter:
    """Changes one octet of the next `left` segments that carry much."""

    def __init__(self) -> None:
        self.left = 0

    def __call__(self, segment: Segment) -> Segment:
        if segment.length > 1000 and self.left:
            self.left -= 1
            octets = bytearray(b"".join(segment.payload))
            octets[500] ^= 0xFF
            segment.payload = (bytes(octets),)
        return segment


class Stripper:
    """Removes every MPTCP option of the segments that `chosen` picks, once `armed`."""

    def __init__(self, chosen: Callable[[Segment], bool], *, armed: bool = True) -> None:
        self._chosen = chosen
        self.armed = armed

    def __call__(self, segment: Segment) -> Segment:
        return strip_mptcp(segment) if self.armed and self._chosen(segment) else segment


class Resetter:
    """Makes a bare RST of the next segment that carries data, once `armed`."""

    def __init__(self) -> None:
        self.armed = False

    def __call__(self, segment: Segment) -> Segment:
        if self.armed and segment.length:
            self.armed = False
            segment.flags = RST | ACK
            segment.payload = ()
            segment.length = 0
            return strip_mptcp(segment)
        return segment


def boxed(edit: Edit, *, outbound: bool, path: int = 0) -> Callable[[int, Driver], Driver]:
    """Return what puts a box before the stack on one path, for one direction."""

    def wrap(number: int, driver: Driver) -> Driver:
        if number != path:
            return driver
        return Tampering(driver, outbound=edit) if outbound else Tampering(driver, inbound=edit)

    return wrap
