"""Boxes that put other sequence numbers in place of the hosts' own."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from plait.host.reset import reverse_flow
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import sides
from plait.sim.packet import copy_segment
from plait.units import Nanos
from plait.wire.segment import ACK, Segment
from plait.wire.seq import MASK32


class IsnRewriter(Middlebox):
    """Adds a secret number to the sequence numbers of each flow and takes it off the ACKs.

    Firewalls that harden the initial sequence numbers of weak stacks: one path of ten in IMC'11.
    Why a mapping counts subflow octets from the ISN (RFC 8684, 3.3.1 and 6).  HotMiddlebox'13 found
    some that leave SACK blocks alone, which then name octets the host never sent.
    """

    name: ClassVar[str] = "isn-rewriter"

    def __init__(self, *, seed: int = 1, sack: bool = True, direction: str = "both") -> None:
        """Make the box.

        Args:
            seed: Chooses the numbers.
            sack: Translate SACK blocks, too.
            direction: Whose sequence numbers: those sent "outbound", "inbound", or "both".
        """
        self._secret = seed.to_bytes(8, "big", signed=True)
        self._sack = sack
        self._sides = sides(direction)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Translate the numbers of both directions."""
        twin = copy_segment(segment)
        twin.seq = (segment.seq + self._shift(segment.flow, outbound)) & MASK32
        back = self._shift(reverse_flow(segment.flow), not outbound)
        if segment.flags & ACK:
            twin.ack = (segment.ack - back) & MASK32
        if self._sack:
            twin.sack = tuple(
                ((left - back) & MASK32, (right - back) & MASK32) for left, right in segment.sack
            )
        return [Crossing(twin, outbound)]

    def _shift(self, flow: bytes, outbound: bool) -> int:
        """Return what is added to the sequence numbers of a flow."""
        if outbound not in self._sides:
            return 0
        return int.from_bytes(hashlib.sha256(self._secret + flow).digest()[:4], "big")
