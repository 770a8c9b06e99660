"""Explicit Congestion Notification: routers mark instead of dropping (RFC 3168; RFC 8311).

Both SYNs agree on it.  Then new data is sent as ECN-capable, the receiver echoes a mark on every
ACK until the sender has confirmed it, and the sender reduces its window once a round trip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.units import Nanos, Octets
from plait.wire.segment import ACK, CWR, ECE, Segment

if TYPE_CHECKING:
    from plait.tcp.sender import Sender
    from plait.tcp.settings import TcpSettings

ECT_0: Final = 2
CE: Final = 3


class Ecn:
    """What one connection agreed on, saw and owes."""

    __slots__ = ("_accepts", "_confirm", "_offers", "_reduced_at", "echoing", "on")

    def __init__(self, settings: TcpSettings) -> None:
        self.on = False
        """Both sides take part."""

        self.echoing = False
        """Every ACK carries ECE: a marked packet came and the sender has not confirmed it."""

        self._accepts = settings.ecn != "no"
        self._offers = settings.ecn == "active"
        self._confirm = False
        self._reduced_at: Octets = 0

    def syn_flags(self, *, answering: bool, first: bool) -> int:
        """Return what our SYN or SYN/ACK says; a SYN that was lost is sent again without it."""
        if answering:
            return ECE if self.on else 0
        return ECE | CWR if self._offers and first else 0

    def on_syn(self, segment: Segment) -> None:
        """Settle it from the peer's SYN or SYN/ACK (RFC 3168, 6.1.1)."""
        asked = segment.flags & (ECE | CWR)
        if segment.flags & ACK:
            self.on = self._offers and asked == ECE
        else:
            self.on = self._accepts and asked == ECE | CWR

    def on_arrival(self, segment: Segment) -> None:
        """Look at a segment in the window for a mark, or for the sender's confirmation."""
        if segment.flags & CWR:
            self.echoing = False
        if segment.ecn == CE:
            self.echoing = True

    def on_echo(self, now: Nanos, sender: Sender) -> None:
        """The peer echoes a mark: reduce as after a loss, once a round trip (RFC 3168, 6.1.2)."""
        if sender.recovery.reducing or sender.snd_una < self._reduced_at:
            return
        self._reduced_at = sender.snd_nxt
        self._confirm = True
        sender.controller.on_congestion_mark(now, sender.in_flight())

    def reducing(self, sender: Sender) -> bool:
        """Return whether the round trip of a reduction is not over."""
        return self._reduced_at > sender.snd_una

    def complete(self, segment: Segment, *, fresh: bool) -> None:
        """Mark a data segment as ECN-capable if it is new, and confirm a reduction on it."""
        if fresh:
            segment.ecn = ECT_0
            if self._confirm:
                segment.flags |= CWR
                self._confirm = False
