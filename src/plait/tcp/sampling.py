"""What a controller that samples the delivery rate is told, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.congestion.base import CongestionController
from plait.tcp.delivery import DeliveryRate
from plait.tcp.receiver import NEVER
from plait.tcp.rtt import RttEstimator
from plait.tcp.scoreboard import Scoreboard
from plait.units import Nanos, Octets

if TYPE_CHECKING:
    from plait.tcp.sender import Sender


class Sampling:
    """Ties the estimator of the delivery rate to the controller and to what recovery finds."""

    __slots__ = ("_controller", "_estimator", "_scoreboard", "delivery")

    def __init__(
        self, controller: CongestionController, scoreboard: Scoreboard, estimator: RttEstimator
    ) -> None:
        self.delivery = DeliveryRate()
        self._controller = controller
        self._scoreboard = scoreboard
        self._estimator = estimator
        scoreboard.news = []

    def on_departure(
        self, now: Nanos, sender: Sender, start: Octets, stop: Octets, *, again: bool
    ) -> None:
        """A stretch leaves; the sender counts it as in flight."""
        self._on_losses(now, sack=sender.sack)
        in_flight = sender.in_flight()
        limited = self.delivery.app_limited > 0
        before = in_flight - (stop - start)
        self._controller.on_departure(now, before, self._estimator.srtt, app_limited=limited)
        self.delivery.on_sent(now, start, stop, in_flight, again=again)

    def _on_losses(self, now: Nanos, *, sack: bool) -> None:
        """Tell the controller of what was marked as lost, before any of it leaves again."""
        news = self._scoreboard.news
        if news:
            self._scoreboard.news = []
            for sample in self.delivery.on_lost(now, news, sack=sack):
                self._controller.on_lost(sample)

    def before_ack(self, sender: Sender, in_flight: Octets) -> None:
        """Note if windows and pacing let data go, but there was none (the draft's 4.1.2.4).

        A subflow that the scheduler passes over is limited like that, too.
        """
        pacer = sender.pacer
        if pacer is None or pacer.deadline != NEVER or sender.stop > sender.snd_nxt:
            return
        window = min(
            self._controller.cwnd - in_flight, sender.snd_una + sender.snd_wnd - sender.snd_nxt
        )
        if pacer.quantum() <= window and not self._scoreboard.lost.total:
            self.delivery.mark_app_limited(in_flight)

    def on_ack(self, now: Nanos, sender: Sender, *, peak: Octets) -> None:
        """Let the controller act on an ACK whose news the estimator has.

        Args:
            now: The time.
            sender: What the ACK is for, up to date.
            peak: Most octets in flight in this round trip.
        """
        self._on_losses(now, sack=sender.sack)
        sample = self.delivery.take_sample(now, sender.snd_una, self._estimator.min_rtt)
        sample.in_flight = sender.in_flight()
        sample.cwnd_limited = peak + sender.mss > self._controller.cwnd
        sample.sack = sender.sack
        self._controller.on_rate(sample)
        if self._controller.holds_back:
            self.delivery.mark_app_limited(sample.in_flight)
