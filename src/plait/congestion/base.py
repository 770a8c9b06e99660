"""The contract of congestion control: samples come in, a window stands there to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from plait.units import Nanos, Octets

INITIAL_WINDOW: Final = 10
"""Segments a connection may send before the first ACK (RFC 6928)."""

INFINITE: Final = 1 << 62
"""`ssthresh` before the first loss."""


@dataclass(init=False, slots=True)
class AckSample:
    """What one ACK that made progress told the sender."""

    now: Nanos
    acked: Octets
    """Octets newly acknowledged, cumulatively or selectively."""

    in_flight: Octets
    """Octets in flight before this ACK."""

    srtt: Nanos
    """Smoothed round-trip time; 0 before the first sample."""

    app_limited: bool
    """The window was not used up when these octets were sent."""

    rtt: Nanos
    """The sample this ACK gave; 0 if it gave none."""

    new_round: bool
    """A round trip has passed since this was last true."""

    def __init__(
        self,
        now: Nanos,
        acked: Octets,
        in_flight: Octets,
        srtt: Nanos,
        app_limited: bool,
        rtt: Nanos = 0,
        new_round: bool = False,
    ) -> None:
        self.now = now
        self.acked = acked
        self.in_flight = in_flight
        self.srtt = srtt
        self.app_limited = app_limited
        self.rtt = rtt
        self.new_round = new_round


@mypyc_attr(allow_interpreted_subclasses=True)
class CongestionController:
    """Decides how much one subflow may have in flight.

    The sender reads `cwnd` after every hook.  Hooks keep their own state only: they see no
    segment, no socket and no clock but the times they are given.
    """

    name: ClassVar[str] = ""

    def __init__(self, mss: Octets) -> None:
        """Start for a path whose segments carry `mss` octets of payload."""
        self.mss = mss
        self.cwnd: Octets = initial_window(mss)
        self.ssthresh: Octets = INFINITE
        self._cwnd_before: Octets = self.cwnd
        self._ssthresh_before: Octets = INFINITE

    def on_mss(self, mss: Octets) -> None:
        """The handshake or path MTU discovery changed the segment size."""
        if self.cwnd == initial_window(self.mss):
            self.cwnd = initial_window(mss)
        self.mss = mss

    def on_ack(self, sample: AckSample) -> None:
        """New data was acknowledged outside recovery."""
        raise NotImplementedError

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """A loss was detected and recovery begins: reduce `ssthresh` and `cwnd`."""
        raise NotImplementedError

    def on_timeout(self, now: Nanos, in_flight: Octets) -> None:
        """The retransmission timer fired: `ssthresh` as after a loss, `cwnd` one segment."""
        self.on_loss(now, in_flight)
        self.cwnd = self.mss

    def on_congestion_mark(self, now: Nanos, in_flight: Octets) -> None:
        """A router marked a packet instead of dropping it (RFC 3168): reduce as for a loss."""
        self.on_loss(now, in_flight)

    def checkpoint(self) -> None:
        """A reduction follows that `on_spurious_loss` may have to undo: remember the state."""
        self._cwnd_before = self.cwnd
        self._ssthresh_before = self.ssthresh

    def on_spurious_loss(self, now: Nanos) -> None:
        """Nothing was lost after all: return to the state of the last checkpoint (RFC 4015, 3)."""
        self.cwnd = max(self.cwnd, self._cwnd_before)
        self.ssthresh = max(self.ssthresh, self._ssthresh_before)

    def on_idle(self, now: Nanos) -> None:
        """Nothing was sent for longer than the RTO (RFC 5681, 4.1): restart cautiously."""
        self.cwnd = min(self.cwnd, initial_window(self.mss))


def initial_window(mss: Octets) -> Octets:
    """Return what may be sent before the first ACK (RFC 6928, 2)."""
    return min(INITIAL_WINDOW * mss, max(2 * mss, 14600))


def slow_start(controller: CongestionController, sample: AckSample) -> Octets:
    """Grow `cwnd` by what was acknowledged, up to `ssthresh`; return the octets left over.

    Growth is by octets acknowledged (RFC 3465), without its limit of two segments an ACK: receivers
    of super-segments acknowledge whole bursts.
    """
    room = controller.ssthresh - controller.cwnd
    used = min(sample.acked, room)
    controller.cwnd += used
    return sample.acked - used
