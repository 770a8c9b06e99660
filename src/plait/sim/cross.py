"""Cross traffic: packets that are not TCP, heed no loss, and only occupy links."""

from __future__ import annotations

from random import Random
from typing import Final

from plait.addresses import IpAddress
from plait.sim.clock import NEVER, Clock
from plait.sim.packet import Opaque
from plait.sim.recorder import FlowRecord
from plait.sim.seed import exponential
from plait.sim.station import Station
from plait.units import SECOND, Nanos, Octets

_PORT: Final = 9
"""Discard (RFC 863)."""


class CrossTraffic:
    """Packets of one size at a constant rate, all the time or in bursts of random length.

    Args:
        rate: Bits per second while on, headers counted.
        octets: Size of a packet, headers counted.
        on: Mean of the bursts in nanoseconds; 0 never pauses.
        off: Mean of the pauses.
    """

    def __init__(
        self,
        clock: Clock,
        record: FlowRecord,
        source: Station,
        destination: Station,
        path: tuple[IpAddress, IpAddress],
        number: int,
        random: Random,
        *,
        rate: int,
        octets: Octets,
        on: Nanos = 0,
        off: Nanos = 0,
    ) -> None:
        self._clock = clock
        self._record = record
        self._source = source
        self._random = random
        self._octets = octets
        self._gap = octets * 8 * SECOND // rate
        self._on = on
        self._off = off
        self._until: Nanos = 0
        self._stopped = False
        local, remote = path
        self._flow = (
            local.packed + remote.packed + number.to_bytes(2, "big") + _PORT.to_bytes(2, "big")
        )
        destination.sinks[self._flow] = self._on_delivery

    def start(self, now: Nanos) -> None:
        """Begin with a burst."""
        self._record.on_start(now)
        self._until = self._burst_end(now)
        self._on_time(None)

    def stop(self, now: Nanos) -> None:
        """Send no more."""
        self._stopped = True

    def _on_time(self, _: None) -> None:
        if self._stopped:
            return
        now = self._clock.now
        if now >= self._until:
            now += int(exponential(self._random, self._off))
            self._until = self._burst_end(now)
            self._clock.call_at(now, self._on_time)
            return
        self._source.send(Opaque(self._flow, self._octets))
        self._clock.call_at(now + self._gap, self._on_time)

    def _burst_end(self, now: Nanos) -> Nanos:
        return now + int(exponential(self._random, self._on)) if self._on else NEVER

    def _on_delivery(self, packet: Opaque) -> None:
        self._record.on_delivery(self._clock.now, packet.octets)
