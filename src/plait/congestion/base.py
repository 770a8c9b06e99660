"""The contract of congestion control: samples come in, a window stands there to be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from plait.units import ENDLESS, MILLISECOND, SECOND, Nanos, Octets

INITIAL_WINDOW: Final = 10
"""Segments a connection may send before the first ACK (RFC 6928)."""

INFINITE: Final = ENDLESS
"""`ssthresh` before the first loss."""

MAX_SEGMENT: Final = 65535 - 60 - 60
"""Payload of a super-segment at most: the IP length field less the longest headers."""


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


@dataclass(init=False, slots=True)
class RateSample:
    """What one ACK told of the path (draft-ietf-ccwg-bbr-06, 4.1.2.1.3).

    Positions of `prior_delivered` and `total_delivered` count the octets delivered so far.
    """

    now: Nanos
    delivery_rate: int
    """Octets per second; 0 if the ACK gave no reliable measure."""

    interval: Nanos
    """Time over which it was measured."""

    delivered: Octets
    """Octets delivered in that time."""

    prior_delivered: Octets
    """Where the count stood when the newest of what was delivered left; -1 if that is unknown."""

    total_delivered: Octets
    newly_acked: Octets
    """Octets newly acknowledged, cumulatively or selectively."""

    newly_lost: Octets
    """Octets that count as lost since the last sample."""

    lost: Octets
    """Octets lost since the newest of what was delivered left."""

    tx_in_flight: Octets
    """Octets in flight once that had left."""

    in_flight: Octets
    """Octets in flight after this ACK."""

    rtt: Nanos
    """From departure to this ACK; 0 if it gave no sample."""

    is_app_limited: bool
    """Too little was there to send for the rate to measure the path."""

    cwnd_limited: bool
    """The window was used up in this round trip."""

    sack: bool
    """The connection can tell several losses in a round trip."""

    def __init__(self, now: Nanos, newly_acked: Octets, total_delivered: Octets) -> None:
        self.now = now
        self.delivery_rate = 0
        self.interval = 0
        self.delivered = 0
        self.prior_delivered = -1
        self.total_delivered = total_delivered
        self.newly_acked = newly_acked
        self.newly_lost = 0
        self.lost = 0
        self.tx_in_flight = 0
        self.in_flight = 0
        self.rtt = 0
        self.is_app_limited = False
        self.cwnd_limited = False
        self.sack = True


@dataclass(init=False, slots=True)
class LossSample:
    """One range that was marked as lost."""

    now: Nanos
    length: Octets
    tx_in_flight: Octets
    """Octets in flight once it had left."""

    lost: Octets
    """Octets lost since it left, itself counted."""

    total_delivered: Octets
    is_app_limited: bool
    sack: bool
    """The connection can tell several losses in a round trip."""

    def __init__(
        self,
        now: Nanos,
        length: Octets,
        tx_in_flight: Octets,
        lost: Octets,
        total_delivered: Octets,
        is_app_limited: bool,
        sack: bool,
    ) -> None:
        self.now = now
        self.length = length
        self.tx_in_flight = tx_in_flight
        self.lost = lost
        self.total_delivered = total_delivered
        self.is_app_limited = is_app_limited
        self.sack = sack


@mypyc_attr(allow_interpreted_subclasses=True)
class CongestionController:
    """Decides how much one subflow may have in flight.

    The sender reads `cwnd` after every hook.  Hooks keep their own state only: they see no
    segment, no socket and no clock but the times they are given.

    A controller that `samples` the delivery rate is asked after every ACK with `on_rate`, in
    recovery too, instead of with `on_ack`; its window is then its own alone, and it is paced.
    """

    name: ClassVar[str] = ""
    samples: ClassVar[bool] = False

    def __init__(self, mss: Octets) -> None:
        """Start for a path whose segments carry `mss` octets of payload."""
        self.mss = mss
        self.cwnd: Octets = initial_window(mss)
        self.ssthresh: Octets = INFINITE
        self.pacing_rate = 0
        """Octets per second that may leave; 0 leaves the rate to the sender."""

        self.holds_back = False
        """It sends less than the path takes: what is delivered now tells nothing of the rate."""

        self._cwnd_before: Octets = self.cwnd
        self._ssthresh_before: Octets = INFINITE

    def couple(self, others: Iterable[CongestionController]) -> None:
        """Know the controllers of the connection's other subflows; called once, at the start."""

    def adopt(self, before: CongestionController) -> None:
        """Take the place of another controller, with its window and out of slow start if it was."""
        self.mss = before.mss
        self.cwnd = before.cwnd
        self.ssthresh = before.cwnd if before.samples else before.ssthresh

    def leave(self) -> None:
        """The subflow ended, or another controller takes its place."""

    def on_mss(self, mss: Octets) -> None:
        """The handshake or path MTU discovery changed the segment size."""
        if self.cwnd == initial_window(self.mss):
            self.cwnd = initial_window(mss)
        self.mss = mss

    def on_ack(self, sample: AckSample) -> None:
        """New data was acknowledged outside recovery."""
        raise NotImplementedError

    def on_rate(self, sample: RateSample) -> None:
        """An ACK came; called in place of `on_ack` if the controller `samples`."""

    def on_lost(self, sample: LossSample) -> None:
        """A range was marked as lost; called before the next `on_rate` if it `samples`."""

    def on_departure(
        self, now: Nanos, in_flight: Octets, srtt: Nanos, *, app_limited: bool
    ) -> None:
        """Data is about to leave; called if the controller `samples`.

        Args:
            now: The time.
            in_flight: Octets in flight before it.
            srtt: Smoothed round-trip time; 0 before the first sample.
            app_limited: There was too little to send lately.
        """

    def on_recovery_end(self, now: Nanos) -> None:
        """All losses are repaired; called if the controller `samples`."""

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


def send_quantum(rate: int, mss: Octets) -> Octets:
    """Return what leaves together at a rate in octets per second, in whole segments.

    That is what a millisecond lets go, but never less than two segments nor more than fit in a
    super-segment (draft-ietf-ccwg-bbr-06, 5.6.3).
    """
    octets = min(rate * MILLISECOND // SECOND, MAX_SEGMENT)
    return max(octets - octets % mss, 2 * mss)


def slow_start(controller: CongestionController, sample: AckSample) -> Octets:
    """Grow `cwnd` by what was acknowledged, up to `ssthresh`; return the octets left over.

    Growth is by octets acknowledged (RFC 3465), without its limit of two segments an ACK: receivers
    of super-segments acknowledge whole bursts.
    """
    room = controller.ssthresh - controller.cwnd
    used = min(sample.acked, room)
    controller.cwnd += used
    return sample.acked - used
