"""The receiving half: acceptance, reassembly, and when and what to acknowledge."""

from __future__ import annotations

from typing import Final

from plait.buffers import Pieces, Reassembly, slice_pieces
from plait.tcp.settings import TcpSettings
from plait.trace.counters import Counters
from plait.units import ENDLESS, Nanos, Octets

NEVER: Final = ENDLESS
"""A deadline that is not set."""

QUICK_ACKS: Final = 16
"""Segments at the start that are acknowledged at once, so that slow start is not held up."""

RECENT: Final = 4
"""Blocks of an ACK at most (RFC 2018, 4); twice as many arrivals are remembered for them."""

MAX_ACKS: Final = 64
"""ACKs that one batch of arrivals out of order brings about at most."""


def acceptable(seq: Octets, length: Octets, rcv_nxt: Octets, rcv_wnd: Octets) -> bool:
    """Return whether any of the segment lies in the receive window (RFC 9293, table 6).

    Args:
        seq: Unwrapped SEG.SEQ.
        length: SEG.LEN in octets, SYN and FIN counted.
        rcv_nxt: RCV.NXT, unwrapped like `seq`.
        rcv_wnd: RCV.WND in octets, scaling applied.
    """
    if rcv_wnd == 0:
        return length == 0 and seq == rcv_nxt
    edge = rcv_nxt + rcv_wnd
    last = seq + max(length, 1) - 1
    return rcv_nxt <= seq < edge or rcv_nxt <= last < edge


class Receiver:
    """RCV.NXT and what belongs to it; positions count from the peer's ISN."""

    __slots__ = (
        "_counters",
        "_delay",
        "_quick",
        "_recent",
        "_unacked",
        "_untold",
        "ack_deadline",
        "ack_now",
        "duplicated",
        "fin_at",
        "irs",
        "last_arrival",
        "reassembly",
        "received",
        "scale",
        "window",
    )

    def __init__(self, settings: TcpSettings, counters: Counters) -> None:
        self._counters = counters
        self.irs = 0
        """The peer's initial sequence number."""

        self.reassembly = Reassembly(1)
        self.window: Octets = 65535
        """RCV.WND; the connection sets it, since all subflows share one (RFC 8684, 3.3.4)."""

        self.scale = 0
        """Shift of the windows we send."""

        self.fin_at: Octets = -1
        """Position of the peer's FIN, -1 while unknown."""

        self.ack_now = False
        self.ack_deadline: Nanos = NEVER
        self.received: Octets = 0
        """Payload octets that arrived, duplicates counted."""

        self.last_arrival: Nanos = 0
        """When payload came last; before any, when the connection opened."""

        self.duplicated: tuple[Octets, Octets] | None = None
        """What came twice since the last ACK, to be told by it (RFC 2883)."""

        self._unacked: Octets = 0
        self._quick = QUICK_ACKS
        self._delay = settings.delayed_ack
        self._recent: list[Octets] = []
        self._untold: list[Octets] = []
        """Arrivals out of order since the last ACK, the latest ones."""

    @property
    def rcv_nxt(self) -> Octets:
        """Return RCV.NXT, a FIN that is in order counted."""
        following = self.reassembly.next
        return following + 1 if following == self.fin_at else following

    def on_payload(self, now: Nanos, start: Octets, pieces: Pieces, length: Octets) -> None:
        """Take payload that passed the acceptance test; cut what exceeds the window."""
        self.received += length
        self.last_arrival = now
        reassembly = self.reassembly
        edge = reassembly.next + self.window
        if start + length > edge:
            pieces = slice_pieces(pieces, 0, edge - start)
            length = edge - start
        if start == reassembly.next and reassembly.buffered == 0:
            reassembly.append(pieces, length)
            return
        self._counters.tcp_ofo_queue += 1
        self.note_duplicate(start, start + length)
        reassembly.insert(start, pieces, length)
        self.ack_now = True
        if start > reassembly.next:
            self.remember(start)
            self._untold = [*self._untold[1 - MAX_ACKS :], start]

    def note_duplicate(self, start: Octets, stop: Octets) -> None:
        """Remember what of an arrival had come before; an ACK reports the first such (RFC 2883, 4).

        A part below RCV.NXT, at the start or at the end of the arrival counts.
        """
        reassembly = self.reassembly
        if self.duplicated is not None or start >= stop:
            return
        if start < reassembly.next:
            self._counters.tcp_dsack_old_sent += 1
            self.duplicated = start, min(stop, reassembly.next)
        elif (held := reassembly.range_at(start)) is not None:
            self._counters.tcp_dsack_ofo_sent += 1
            self.duplicated = start, min(stop, held[1])
        elif (held := reassembly.range_at(stop - 1)) is not None:
            self._counters.tcp_dsack_ofo_sent += 1
            self.duplicated = held[0], stop

    def plan_ack(self, now: Nanos, length: Octets, mss: Octets) -> None:
        """Acknowledge every second full segment, others within a delay (RFC 9293, 3.8.6.3)."""
        self._unacked += length
        if self._unacked >= 2 * mss or self._quick > 0:
            self._quick -= 1
            self.ack_now = True
        elif self.ack_deadline == NEVER:
            self.ack_deadline = now + self._delay

    def on_fin(self, position: Octets) -> None:
        """Note where the peer's stream ends; the first FIN counts."""
        if self.fin_at < 0 and position >= self.reassembly.next:
            self.fin_at = position
        self.ack_now = True

    def on_ack_sent(self) -> None:
        """A segment with the current RCV.NXT left."""
        self.ack_now = False
        self.ack_deadline = NEVER
        self._unacked = 0
        self.duplicated = None
        self._untold.clear()

    def take_heads(self, *, sack: bool) -> list[Octets]:
        """Return the arrivals to begin the blocks of one ACK each, and forget them.

        A batch is answered by one ACK unless that hides something from the sender: without SACK
        every duplicate counts (RFC 5681, 4.2), with it every range has to come first once.
        """
        untold = self._untold
        self._untold = []
        if not sack or len(untold) < 2:
            return untold
        self._recent = [position for position in self._recent if position not in untold]
        heads: dict[tuple[Octets, Octets] | None, Octets] = {}
        for position in reversed(untold):
            heads.setdefault(self.reassembly.range_at(position), position)
        heads.pop(None, None)
        return list(reversed(heads.values()))

    def remember(self, position: Octets) -> None:
        """Let the next ACK begin with the range around a position."""
        self._recent = [position, *[p for p in self._recent if p != position]][: 2 * RECENT]

    def sack_ranges(self) -> list[tuple[Octets, Octets]]:
        """Return what came twice, then what is held out of order, the latest arrival first.

        A duplicate is followed by the range it lies in (RFC 2018, 4; RFC 2883, 4).
        """
        reports = [self.duplicated] if self.duplicated is not None else []
        if self.reassembly.buffered == 0:
            self._recent.clear()
            return reports
        ranges: list[tuple[Octets, Octets]] = []
        for position in [start for start, _ in reports] + self._recent:
            found = self.reassembly.range_at(position)
            if found is not None and found not in ranges:
                ranges.append(found)
        return (reports + ranges)[:RECENT]
