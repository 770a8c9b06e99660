"""Putting a congestion controller in its place: with what it measures by, and paced if it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.congestion.base import CongestionController
from plait.tcp.pacing import Pacer
from plait.tcp.receiver import NEVER
from plait.tcp.sampling import Sampling
from plait.tcp.settings import TcpSettings
from plait.units import Nanos

if TYPE_CHECKING:
    from plait.tcp.sender import Sender


def equip(sender: Sender, settings: TcpSettings) -> None:
    """Give the sender's controller the measurements and the pacing it needs."""
    controller = sender.controller
    sender.scoreboard.news = None
    sender.sampling = None
    if controller.samples:
        sender.sampling = Sampling(controller, sender.scoreboard, sender.rtt)
    pace(sender, settings)


def pace(sender: Sender, settings: TcpSettings) -> None:
    """Pace what the sender sends, or no more."""
    paced = sender.controller.samples or settings.pacing
    sender.pacer = Pacer(sender.controller) if paced else None
    sender.unpaced = NEVER


def replace(
    sender: Sender, now: Nanos, controller: CongestionController, settings: TcpSettings
) -> None:
    """Put another controller in the place of the one before; it starts with its window."""
    before = sender.controller
    before.leave()
    controller.adopt(before)
    sender.controller = sender.recovery.controller = controller
    equip(sender, settings)
    if sender.sampling is not None:
        sender.sampling.delivery.start(now)
