"""Weighted Vegas: delay is the sign of congestion (draft-xu-mptcp-congestion-control-05).

Each subflow keeps a number of packets in the queues of its path.  The numbers of a connection add
up to `TOTAL_ALPHA`; faster subflows keep more, so that load moves to where queues are short.
"""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from plait.congestion.base import AckSample, slow_start
from plait.congestion.coupling import Coupled
from plait.units import ENDLESS, Nanos, Octets

TOTAL_ALPHA: Final = 10
"""Packets that all subflows of a connection together keep in queues."""

LEAST_ALPHA: Final = 2
GAMMA: Final = 1
"""Packets in queues with which slow start ends."""

FEW_SAMPLES: Final = 2
"""Samples of the round-trip time that tell nothing of queues."""

UNKNOWN: Final = ENDLESS


@mypyc_attr(allow_interpreted_subclasses=True)
class Wvegas(Coupled):
    """Acts once a round trip, by the packets it has in queues."""

    name: ClassVar[str] = "wvegas"

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self.base_rtt: Nanos = UNKNOWN
        """Least round-trip time seen: that of an empty queue."""

        self.alpha = LEAST_ALPHA
        """Packets this subflow may keep in queues."""

        self.speed = 0.0
        """Packets per nanosecond in the last round trip."""

        self._sum: Nanos = 0
        self._samples = 0
        self._least_queue: Nanos = UNKNOWN
        """Least queueing delay since the queue was drained."""

    def on_ack(self, sample: AckSample) -> None:
        """Collect the samples of a round trip, and act at its end."""
        self._recovering = False
        self.srtt = sample.srtt
        if sample.rtt:
            self.base_rtt = min(self.base_rtt, sample.rtt)
            self._sum += sample.rtt
            self._samples += 1
        if sample.app_limited:
            return
        if sample.new_round:
            self._on_round(sample)
            self._sum = 0
            self._samples = 0
        elif self.cwnd < self.ssthresh:
            slow_start(self, sample)

    def _on_round(self, sample: AckSample) -> None:
        if self._samples <= FEW_SAMPLES:
            if self.cwnd < self.ssthresh:
                slow_start(self, sample)
            else:
                self.cwnd += self.mss
            return
        rtt = self._sum // self._samples
        cwnd = float(self.cwnd) / float(self.mss)
        queued = cwnd * float(rtt - self.base_rtt) / float(rtt)
        self.speed = cwnd / float(rtt)
        if self.cwnd < self.ssthresh:
            self._in_slow_start(sample, rtt, queued)
        else:
            self._avoid(queued)
            self._drain(rtt)

    def _in_slow_start(self, sample: AckSample, rtt: Nanos, queued: float) -> None:
        if queued <= float(GAMMA):
            slow_start(self, sample)
            return
        self.cwnd = min(self.cwnd, self.cwnd * self.base_rtt // rtt + self.mss)
        self._hold()

    def _avoid(self, queued: float) -> None:
        """Keep as many packets in queues as our share of the connection's rate allows."""
        if queued >= float(self.alpha):
            total = sum(one.speed for one in self.group if isinstance(one, Wvegas))
            self.alpha = max(LEAST_ALPHA, int(self.speed / total * float(TOTAL_ALPHA)))
        if queued > float(self.alpha):
            self.cwnd -= self.mss
            self._hold()
        elif queued < float(self.alpha):
            self.cwnd += self.mss

    def _drain(self, rtt: Nanos) -> None:
        """Back off where the queue has become twice the shortest, lest the base be forgotten."""
        queue = rtt - self.base_rtt
        if not queue:
            return
        self._least_queue = min(self._least_queue, queue)
        if queue >= 2 * self._least_queue:
            self.cwnd = self.cwnd * self.base_rtt // (2 * rtt)
            self._least_queue = UNKNOWN
            self._hold()

    def _hold(self) -> None:
        """Keep the floor, and do not take the new window for slow start."""
        self.cwnd = max(self.cwnd, 2 * self.mss)
        self.ssthresh = min(self.ssthresh, self.cwnd - self.mss)

    def growth(self, acked: Octets) -> float:
        """Return nothing: the window changes once a round trip."""
        return 0.0

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Halve as Reno does, and begin a new round."""
        super().on_loss(now, in_flight)
        self._sum = 0
        self._samples = 0

    def on_idle(self, now: Nanos) -> None:
        """Restart cautiously; the path may be another by now."""
        super().on_idle(now)
        self.base_rtt = UNKNOWN
        self._least_queue = UNKNOWN
        self._sum = 0
        self._samples = 0
