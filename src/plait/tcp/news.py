"""What an ACK tells beyond SND.UNA: written down for scoreboard, RACK and recovery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plait.tcp.recovery import AckNews
from plait.tcp.scoreboard import Block, duplicate_report
from plait.units import Nanos, Octets

if TYPE_CHECKING:
    from plait.tcp.sender import Sender


def note(
    sender: Sender,
    now: Nanos,
    ack: Octets,
    blocks: Sequence[Block],
    echoed_at: Nanos,
    duplicate: bool,
    before: Octets,
) -> AckNews:
    """Tell transmission times and scoreboard of an ACK; return what recovery has to know."""
    board, recovery = sender.scoreboard, sender.recovery
    duplicated = duplicate_report(blocks, ack)
    delivered = 0
    original = False
    for start, stop in board.sacked.holes(sender.snd_una, ack):
        delivered += stop - start
        once = recovery.rack.on_delivered(now, start, stop, echoed_at)
        original |= once and start < recovery.point
        if sender.sampling is not None:
            sender.sampling.delivery.on_delivered(start, stop)
    for start, stop in board.on_sack(blocks, ack, sender.snd_nxt):
        delivered += stop - start
        # The timestamp echoes what came at the left edge (RFC 7323, 4.3), not this.
        once = recovery.rack.on_delivered(now, start, stop, -1)
        original |= once and start < recovery.point
        if sender.sampling is not None:
            sender.sampling.delivery.on_delivered(start, stop)
    return AckNews(
        now,
        ack,
        sender.snd_nxt,
        sender.mss,
        before,
        delivered,
        ack - sender.snd_una,
        original,
        duplicate,
        duplicated,
        echoed_at if duplicated is None else -1,  # it answers a copy: ACKs were lost
        sender.sack,
    )
