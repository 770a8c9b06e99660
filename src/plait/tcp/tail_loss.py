"""TLP: a probe asks after the end of a flight before the timer runs out (RFC 8985, 7)."""

from __future__ import annotations

from typing import Final

from plait.tcp.rtt import RttEstimator
from plait.tcp.scoreboard import Block
from plait.units import MILLISECOND, SECOND, Nanos, Octets

WC_DEL_ACK: Final = 200 * MILLISECOND
"""Longest delay of an ACK to be expected of a peer (RFC 8985, 7.2: max_ack_delay)."""


class TailLoss:
    """The probe of one episode; names as in RFC 8985, 7."""

    __slots__ = ("_is_retrans", "due", "end_seq", "probes")

    def __init__(self) -> None:
        self.end_seq: Octets = -1
        """SND.NXT when the probe left, -1 while none is unanswered."""

        self.due = False
        """A probe is to leave, whatever the congestion window says."""

        self.probes = 0
        """Probes so far."""

        self._is_retrans = False

    def on_sent(self, nxt: Octets, *, again: bool) -> None:
        """The probe left, as new data or as the last segment once more."""
        self.due = False
        self.probes += 1
        self.end_seq = nxt
        self._is_retrans = again

    def on_ack(self, ack: Octets, duplicated: Block | None, *, bare_duplicate: bool) -> bool:
        """Learn what the probe did; return whether it repaired a loss (RFC 8985, 7.4.2).

        Args:
            ack: SEG.ACK.
            duplicated: What the ACK reports to have come twice.
            bare_duplicate: It is a duplicate ACK without SACK blocks.
        """
        if ack < self.end_seq:
            return False
        twice = duplicated is not None and duplicated[1] == self.end_seq
        if not self._is_retrans or twice or (ack == self.end_seq and bare_duplicate):
            self.end()
        elif ack > self.end_seq:
            self.end()
            return True
        return False

    def end(self) -> None:
        """Forget the probe."""
        self.due = False
        self.end_seq = -1


def probe_timeout(rtt: RttEstimator, flight: Octets, mss: Octets) -> Nanos:
    """Return PTO, counted from the last new data or progress (RFC 8985, 7.2).

    Args:
        rtt: The path's estimate.
        flight: FlightSize in octets.
        mss: SMSS; the ACK of a single segment may be delayed.
    """
    if not rtt.srtt:
        return SECOND
    return 2 * rtt.srtt + (WC_DEL_ACK if flight <= mss else 0)
