"""What a controller that samples the delivery rate is told, and when."""

from __future__ import annotations

from plait.congestion.base import CongestionController
from plait.tcp.delivery import DeliveryRate
from plait.tcp.rtt import RttEstimator
from plait.tcp.scoreboard import Scoreboard
from plait.units import Nanos, Octets


class Sampling:
    """Ties the estimator of the delivery rate to the controller and to what recovery finds."""

    def __init__(
        self, controller: CongestionController, scoreboard: Scoreboard, estimator: RttEstimator
    ) -> None:
        self.delivery = DeliveryRate()
        self._controller = controller
        self._scoreboard = scoreboard
        self._estimator = estimator
        scoreboard.news = []

    def before_departure(self, now: Nanos, in_flight: Octets) -> None:
        """Data is about to leave, with so much in flight before it."""
        limited = self.delivery.app_limited > 0
        self._controller.on_departure(now, in_flight, self._estimator.srtt, app_limited=limited)

    def on_losses(self, now: Nanos, *, sack: bool) -> None:
        """Tell the controller of what was marked as lost."""
        news = self._scoreboard.news
        if news:
            self._scoreboard.news = []
            for sample in self.delivery.on_lost(now, news, sack=sack):
                self._controller.on_lost(sample)

    def on_ack(
        self, now: Nanos, una: Octets, in_flight: Octets, *, cwnd_limited: bool, sack: bool
    ) -> None:
        """Let the controller act on an ACK whose news the estimator has.

        Args:
            now: The time.
            una: SND.UNA after the ACK.
            in_flight: Octets in flight after it.
            cwnd_limited: The window was used up in this round trip.
            sack: The connection can tell several losses in a round trip.
        """
        self.on_losses(now, sack=sack)
        sample = self.delivery.take_sample(now, una, self._estimator.min_rtt)
        sample.in_flight = in_flight
        sample.cwnd_limited = cwnd_limited
        sample.sack = sack
        self._controller.on_rate(sample)
        if self._controller.holds_back:
            self.delivery.mark_app_limited(in_flight)
