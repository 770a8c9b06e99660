"""The node that holds a middlebox: two sides, a timer, and a place to capture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from plait.addresses import IpAddress
from plait.sim.clock import Clock, Timer
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.node import Node
from plait.sim.packet import Packet, too_big
from plait.units import Nanos
from plait.wire.segment import Segment

if TYPE_CHECKING:
    from plait.sim.link import Link

INSIDE: Final = 0
"""The port of the link that the scenario calls the inner one."""

OUTSIDE: Final = 1


class Box(Node):
    """Puts a middlebox on a path; captures show what comes and what leaves changed.

    Attributes:
        middlebox: What decides.
        addresses: Addresses that are routed to its outside, because it stands for them.
    """

    def __init__(
        self, clock: Clock, name: str, middlebox: Middlebox, addresses: Sequence[IpAddress] = ()
    ) -> None:
        super().__init__(name)
        self.middlebox = middlebox
        self.addresses = tuple(addresses)
        self._clock = clock
        self._timer = Timer(clock, self._on_timer)

    def receive(self, now: Nanos, packet: Packet, port: int) -> None:
        """Let the middlebox have the packet and send what it returns."""
        if self.tap is not None:
            self.record(now, packet)
        for crossing in self.middlebox.process(now, packet, outbound=port == INSIDE):
            self._pass(now, crossing, packet)
        self._arm()

    def on_too_big(self, now: Nanos, packet: Packet, link: Link) -> None:
        """Tell the source how large packets may be, as a router does."""
        if isinstance(packet, Segment):
            self.ports[1 - self.ports.index(link)].send(too_big(packet, link.mtu))

    def _pass(self, now: Nanos, crossing: Crossing, came: Packet | None) -> None:
        if self.tap is not None and crossing.packet is not came:
            self.record(now, crossing.packet)
        self.ports[OUTSIDE if crossing.outbound else INSIDE].send(crossing.packet)

    def _on_timer(self) -> None:
        now = self._clock.now
        for crossing in self.middlebox.handle_timeout(now):
            self._pass(now, crossing, None)
        self._arm()

    def _arm(self) -> None:
        due = self.middlebox.next_timeout()
        if due is None:
            self._timer.cancel()
        else:
            self._timer.arm(due)
