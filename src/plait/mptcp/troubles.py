"""What went wrong in a connection: paths and plug-ins that failed, and when to look again."""

from __future__ import annotations

from typing import TypeAlias

from plait.addresses import IpAddress
from plait.tcp.receiver import NEVER
from plait.units import Nanos

Pair: TypeAlias = tuple[IpAddress, IpAddress, int]
"""A local address, and an address and port of the peer."""


class Loss:
    """What is known of a pair that failed."""

    __slots__ = ("again_at", "forbidden", "tried_at", "tries", "unwanted", "worked")

    def __init__(self) -> None:
        self.worked = False
        """It carried a subflow at some time."""

        self.forbidden = False
        """One that worked was ended for good: the peer or we said that no other one will."""

        self.unwanted = False
        """The application closed one and has not asked for another."""

        self.tries = 0
        """Failures in a row."""

        self.again_at: Nanos = NEVER
        """When it may be tried again; `NEVER` before that is known, and if it may not."""

        self.tried_at: Nanos = 0
        """When it was tried last."""


class Troubles:
    """One for each connection; most have none, so that it is small."""

    __slots__ = ("failures", "fault", "losses", "watch_at")

    def __init__(self) -> None:
        self.losses: dict[Pair, Loss] | None = None
        """Pairs of addresses that failed."""

        self.fault = ""
        """What a controller did wrong since the last grant."""

        self.failures: tuple[tuple[str, str, str], ...] = ()
        """Plug-ins that were replaced since the host looked: kind, name, what was wrong."""

        self.watch_at: Nanos = NEVER
        """When the paths are looked at next."""

    def on_fault(self, text: str) -> None:
        """Note what a controller did wrong."""
        self.fault = text
