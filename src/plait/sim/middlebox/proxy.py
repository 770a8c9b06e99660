"""A performance-enhancing proxy: acknowledges before the receiver does."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar, Final

from plait.host.reset import reverse_flow
from plait.sim.middlebox.base import Crossing, Middlebox
from plait.sim.middlebox.flows import FlowTable, Numbering, sides
from plait.sim.packet import copy_segment
from plait.units import SECOND, Nanos, Octets
from plait.wire.segment import ABSENT, ACK, RST, SYN, Segment
from plait.wire.tcp_options import WindowScale

_TRIES: Final = 8
"""Retransmissions without progress before the proxy gives its copies up."""


@dataclass(slots=True)
class _Copy:
    """A segment that the proxy answers for."""

    segment: Segment
    stop: Octets


class _Direction:
    """One direction of a connection: what the proxy acknowledged and has to deliver."""

    def __init__(self) -> None:
        self.numbers = Numbering()
        self.next: Octets = 0
        """Position of the next octet in order."""

        self.copies: deque[_Copy] = deque()
        self.held: Octets = 0
        self.outbound = False
        self.resend_at: Nanos = 0
        self.tries = 0
        self.shift = -1
        """Scale of the windows that it tells, -1 if its SYN offered none."""

        self.edge: Octets = 0
        """Right edge of the receiver's window."""

        self.acked: Octets = 0
        """What the receiver itself acknowledged."""

        self.left: Octets = 0
        """Up to here are octets without a copy: nothing beyond can be acknowledged for it."""

        self.answer: Segment | None = None
        """The latest segment of the other direction, a model for acknowledgments."""


class EarlyAck(Middlebox):
    """Acknowledges data in order at once, keeps it, and sends it again if the receiver does not.

    Split-connection proxies of satellite and mobile networks (IMC'11; RFC 8684, 6: proactive
    acknowledging).  Its own ACKs have no options: Data ACKs stay end to end, and a sender that
    never saw one concludes that the path removes them (RFC 8684, 3.7).
    """

    name: ClassVar[str] = "early-ack"

    def __init__(
        self,
        *,
        after_octets: Octets = 0,
        buffer: Octets = 1 << 20,
        resend: Nanos = SECOND,
        direction: str = "outbound",
    ) -> None:
        """Make the box.

        Args:
            after_octets: Payload octets of one direction that it leaves to the receiver.
            buffer: Octets it answers for at one time, within the receiver's window; more wait for
                the receiver.
            resend: Time without progress after which it sends again, in nanoseconds.
            direction: Of the data: "both", "outbound" or "inbound".
        """
        self._after = after_octets
        self._buffer = buffer
        self._resend = resend
        self._sides = sides(direction)
        self._flows: FlowTable[_Direction] = FlowTable(_Direction)

    def on_segment(self, now: Nanos, segment: Segment, outbound: bool) -> list[Crossing]:
        """Pass the segment, with an acknowledgment back if it is the next one."""
        out = [Crossing(segment, outbound)]
        forth = self._flows.at(segment.flow)
        position = forth.numbers.see(segment)
        forth.outbound = outbound
        self._on_answer(now, segment)
        if segment.flags & RST:
            self._flows.forget(segment.flow)
        elif segment.flags & SYN:
            forth.next = forth.numbers.edge
            shifts = [each.shift for each in segment.options if isinstance(each, WindowScale)]
            forth.shift = shifts[0] if shifts else -1
        elif position == forth.next:
            forth.next += segment.length
            wanted = outbound in self._sides and forth.next - 1 > self._after
            room = forth.held + segment.length <= self._buffer and forth.next <= forth.edge
            if segment.length and not (wanted and room):
                forth.left = forth.next
            elif segment.length:
                if not forth.copies:
                    forth.resend_at = now + self._resend
                forth.copies.append(_Copy(segment, forth.next))
                forth.held += segment.length
                if forth.acked >= forth.left:
                    out += self._acknowledgment(forth, segment)
        return out

    def _on_answer(self, now: Nanos, segment: Segment) -> None:
        """Note what the receiver acknowledges, and how it does."""
        back = self._flows.get(reverse_flow(segment.flow))
        if back is None or not segment.flags & ACK or not back.numbers.known:
            return
        back.answer = segment
        acked = back.numbers.position(segment.ack)
        back.acked = max(back.acked, acked)
        own = self._flows.at(segment.flow).shift
        scaled = not segment.flags & SYN and min(own, back.shift) >= 0
        back.edge = max(back.edge, acked + (segment.window << (own if scaled else 0)))
        while back.copies and back.copies[0].stop <= acked:
            back.held -= back.copies.popleft().segment.length
            back.resend_at = now + self._resend
            back.tries = 0

    @staticmethod
    def _acknowledgment(forth: _Direction, segment: Segment) -> list[Crossing]:
        """Return the ACK that the receiver would send, without options of its own."""
        model = forth.answer
        if model is None:
            return []
        ack = copy_segment(model)
        ack.flags = ACK
        ack.seq = segment.ack
        ack.ack = forth.numbers.number(forth.next)
        ack.payload = ()
        ack.length = 0
        ack.sack = ()
        ack.dss = None
        ack.options = ()
        ack.ecn = 0
        if ABSENT not in (segment.ts_val, model.ts_val):
            ack.ts_ecr = segment.ts_val
        return [Crossing(ack, not forth.outbound)]

    def next_timeout(self) -> Nanos | None:
        """Return when data is sent again."""
        waiting = [each.resend_at for each in self._flows.entries() if each.copies]
        return min(waiting, default=None)

    def handle_timeout(self, now: Nanos) -> list[Crossing]:
        """Send the first copy of each direction that stands still again."""
        out: list[Crossing] = []
        for each in self._flows.entries():
            if not each.copies or each.resend_at > now:
                continue
            each.tries += 1
            each.resend_at = now + self._resend
            if each.tries > _TRIES:
                each.copies.clear()
                each.held = 0
            else:
                out.append(Crossing(each.copies[0].segment, each.outbound))
        return out
