"""Putting a middlebox between the two hosts of `support.world`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Final

from plait.addresses import IpAddress
from plait.drivers.base import Capabilities, Driver
from plait.host.events import Closed, SubflowDown, SubflowUp
from plait.host.settings import Settings
from plait.mptcp.info import ConnectionInfo
from plait.sim.middlebox import Crossing, Middlebox
from plait.units import SECOND, Nanos, Octets
from plait.wire.icmp import IcmpError
from plait.wire.segment import ACK, Segment
from support.world import NEAR, End, Hook, Line, World

ONE: Final = NEAR[:1]
"""Addresses of an initiator with a single path."""

SPAN: Final = 600 * SECOND
FLOW: Final = bytes((10, 0, 1, 1, 10, 0, 1, 2)) + (40000).to_bytes(2, "big") + b"\0\x50"


def stream(length: Octets, seed: int = 1) -> bytes:
    """Return octets of which no two stretches are alike."""
    return Random(seed).randbytes(length)


def segment(
    seq: int = 1000, payload: bytes = b"", *, flow: bytes = FLOW, ack: int = 0, flags: int = ACK
) -> Segment:
    """Return a segment for rows on single packets."""
    pieces = (payload,) if payload else ()
    return Segment(flow, seq, ack, flags, 65535, pieces, len(payload))


def lossy(every: int) -> Hook:
    """Return a hook that loses each `every`-th segment with payload."""
    seen = count(1)

    def hook(_: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
        return [] if segment.length and next(seen) % every == 0 else [(0, segment)]

    return hook


def payload_of(packet: object) -> bytes:
    """Return the payload of what left a box."""
    assert isinstance(packet, Segment)
    return b"".join(packet.payload)


class Place(Driver):
    """A box on some paths: takes part in the turns of one host for the sake of its timers.

    What a host sends reaches the box at once, and what leaves it takes the delay of the line.

    Attributes:
        lose: Asked for every segment that leaves the box; True loses it.
    """

    def __init__(
        self,
        world: World,
        box: Middlebox,
        crossing: Sequence[IpAddress],
        inside: End,
        slow: Nanos = 0,
    ) -> None:
        super().__init__(Capabilities(mtu=1500, segmentation=False, checksum=True), ())
        self.box = box
        self.lose: Callable[[Segment], bool] | None = None
        self._crossing = frozenset(address.packed for address in crossing)
        self._slow = slow
        self._inside = inside.line
        (self._outside,) = (end.line for end in world.ends if end is not inside)
        for line in (self._inside, self._outside):
            line.hook = self._hook_of(line)
        inside.station.drivers += (self,)

    def _hook_of(self, line: Line) -> Hook:
        outbound = line is self._inside
        before = line.hook

        def hook(now: Nanos, segment: Segment) -> list[tuple[Nanos, Segment]]:
            passed = []
            for extra, piece in before(now, segment):
                if self._crossing & {piece.flow[:4], piece.flow[4:8]}:
                    self._send(now, self.box.process(now, piece, outbound=outbound), extra)
                else:
                    passed.append((extra + self._slow, piece))
            return passed

        return hook

    def _send(self, now: Nanos, crossings: Sequence[Crossing], extra: Nanos = 0) -> None:
        for crossing in crossings:
            line = self._outside if crossing.outbound else self._inside
            if isinstance(crossing.packet, Segment):
                if self.lose is not None and self.lose(crossing.packet):
                    continue
                line.arrive(now + line.delay + extra, crossing.packet)
            elif isinstance(crossing.packet, IcmpError):
                line._errors.append(crossing.packet)

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        due = self.box.next_timeout()
        if due is not None and due <= now:
            self._send(now, self.box.handle_timeout(now))
        return []

    def next_timeout(self) -> Nanos | None:
        return self.box.next_timeout()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a connection through a box."""

    world: World
    place: Place
    initiator: ConnectionInfo
    listener: ConnectionInfo
    received: bytes
    """What the listener's application read."""

    answered: bytes
    """What the initiator's application read."""

    @property
    def mptcp(self) -> bool:
        """Whether both hosts spoke Multipath TCP to the end."""
        return self.initiator.is_mptcp and self.listener.is_mptcp

    @property
    def plain(self) -> bool:
        """Whether both hosts ended as plain TCP."""
        return not (self.initiator.is_mptcp or self.listener.is_mptcp)

    @property
    def ups(self) -> int:
        """How many subflows came up, at the host that saw fewer."""
        return min(len(end.heard(SubflowUp)) for end in self.world.ends)

    @property
    def downs(self) -> set[IpAddress]:
        """The initiator's addresses of subflows that ended before the stream did."""
        return {event.path.local for event in self.world.initiator.heard(SubflowDown)}


def through(
    box: Middlebox,
    data: bytes = b"",
    back: bytes = b"",
    *,
    near: Sequence[IpAddress] = ONE,
    crossing: Sequence[IpAddress] = (),
    settings: Settings | None = None,
    listener_settings: Settings | None = None,
    inside_listener: bool = False,
    slow: Nanos = 0,
    hook: Hook | None = None,
    span: Nanos = SPAN,
) -> Outcome:
    """Transfer both streams through a box, close, and return what became of the connection.

    Both hosts must see the connection close in order.

    Args:
        near: Addresses of the initiator.
        crossing: Addresses whose flows cross the box; all of `near` if none are given.
        slow: Delay of flows that do not cross the box, on top, in each direction.
        inside_listener: The listener is on the inside, instead of the initiator.
        hook: Between the initiator and the box.
    """
    world = World(settings, listener_settings, near=near, whole=False)
    if hook is not None:
        world.initiator.line.hook = hook
    inside = world.listener if inside_listener else world.initiator
    place = Place(world, box, crossing or near, inside, slow)
    world.initiator.to_send = data
    world.listener.to_send = back
    world.connect()
    world.run(span)
    ends = [end.heard(Closed) for end in world.ends]
    assert [len(closed) for closed in ends] == [1, 1], [end.events for end in world.ends]
    infos = [event.info for closed in ends for event in closed]
    return Outcome(
        world=world,
        place=place,
        initiator=infos[0],
        listener=infos[1],
        received=bytes(world.listener.received),
        answered=bytes(world.initiator.received),
    )
