"""Which packets wait before a transmitter, and which are dropped or marked."""

from __future__ import annotations

from enum import Enum
from math import isqrt
from random import Random
from typing import ClassVar, Final

from plait.errors import UsageError
from plait.units import ENDLESS, MILLISECOND, Nanos, Octets

UNLIMITED: Final = ENDLESS


class Verdict(Enum):
    """What becomes of a packet."""

    PASS = "pass"  # noqa: S105 - no password
    MARK = "mark"
    """Mark congestion, or drop what cannot be marked."""

    DROP = "drop"


class Queue:
    """Drop-tail: takes what fits.

    Attributes:
        packets: Packets that may be in the queue or in transmission.
        octets: Octets likewise, headers counted.
    """

    late: ClassVar[bool] = False
    """`on_departure` decides, too: the link must ask it when a transmission could begin."""

    ages: ClassVar[bool] = False
    """Idle time counts: the link must tell `on_idle` of it."""

    def __init__(self, packets: int = UNLIMITED, octets: Octets = UNLIMITED) -> None:
        if packets < 1 or octets < 1:
            raise UsageError("a queue holds at least one packet")
        self.packets = packets
        self.octets = octets

    def on_arrival(
        self, now: Nanos, octets: Octets, packets_there: int, octets_there: Octets
    ) -> Verdict:
        """Decide on a packet of `octets` that finds others there."""
        if packets_there >= self.packets or octets_there + octets > self.octets:
            return Verdict.DROP
        return Verdict.PASS

    def on_idle(self, idle: Nanos) -> None:
        """Hear how long there was nothing to transmit before the packet that now passes."""

    def on_departure(self, now: Nanos, waited: Nanos, octets_left: Octets) -> Verdict:
        """Decide on a packet that is the next to be transmitted."""
        return Verdict.PASS


class Red(Queue):
    """Random early detection (Floyd and Jacobson, 1993), with the gentle slope to twice `high`.

    Args:
        low: Average packets below which nothing is dropped.
        high: Average packets at which `most` of the packets are.
        most: Probability, 0 to 1.
        weight: How much of the average one packet's queue length makes.
        packet_time: Nanoseconds a typical packet takes, by which the average sinks when idle.
        mark: Mark packets that can be marked.
    """

    ages: ClassVar[bool] = True

    def __init__(
        self,
        random: Random,
        packets: int = UNLIMITED,
        octets: Octets = UNLIMITED,
        *,
        low: float = 5,
        high: float = 15,
        most: float = 0.1,
        weight: float = 0.002,
        packet_time: Nanos = MILLISECOND,
        mark: bool = False,
    ) -> None:
        super().__init__(packets, octets)
        if not 0 < low < high or not 0 < most <= 1:
            raise UsageError("RED wants 0 < low < high and a probability up to 1")
        self._random = random
        self._low = low
        self._high = high
        self._most = most
        self._weight = weight
        self._packet_time = max(packet_time, 1)
        self._verdict = Verdict.MARK if mark else Verdict.DROP
        self._average = 0.0
        self._count = -1

    def on_arrival(
        self, now: Nanos, octets: Octets, packets_there: int, octets_there: Octets
    ) -> Verdict:
        """Drop-tail, and early with a probability that rises with the average length."""
        self._average += self._weight * (packets_there - self._average)
        verdict = super().on_arrival(now, octets, packets_there, octets_there)
        if verdict is Verdict.PASS and self._early():
            return self._verdict
        return verdict

    def on_idle(self, idle: Nanos) -> None:
        """Let the average sink as if typical packets had found nothing there all the time."""
        self._average *= (1 - self._weight) ** (idle / self._packet_time)

    def _early(self) -> bool:
        """Return whether to act on this packet; actions are spread evenly."""
        if self._average < self._low:
            self._count = -1
            return False
        self._count += 1
        if self._average < self._high:
            base = self._most * (self._average - self._low) / (self._high - self._low)
        else:
            base = self._most + (1 - self._most) * (self._average / self._high - 1)
        odds = base / (1 - self._count * base) if self._count * base < 1 else 1.0
        if self._random.random() < odds:
            self._count = 0
            return True
        return False


class CoDel(Queue):
    """Controlled delay (RFC 8289): drops at the head while packets wait too long for too long.

    Args:
        target: Acceptable standing delay in nanoseconds.
        interval: How long it may be exceeded, about one worst round trip.
        mark: Mark packets that can be marked.
    """

    late: ClassVar[bool] = True

    def __init__(
        self,
        packets: int = UNLIMITED,
        octets: Octets = UNLIMITED,
        *,
        target: Nanos = 5 * MILLISECOND,
        interval: Nanos = 100 * MILLISECOND,
        mark: bool = False,
    ) -> None:
        super().__init__(packets, octets)
        if target <= 0 or interval <= 0:
            raise UsageError("CoDel's target and interval are more than 0")
        self._target = target
        self._interval = interval
        self._verdict = Verdict.MARK if mark else Verdict.DROP
        self._largest: Octets = 0
        self._above_at: Nanos = 0
        self._next: Nanos = 0
        self._count = 0
        self._last_count = 0
        self._dropping = False

    def on_arrival(
        self, now: Nanos, octets: Octets, packets_there: int, octets_there: Octets
    ) -> Verdict:
        """Take what fits, and remember the size of the largest packet."""
        self._largest = max(self._largest, octets)
        return super().on_arrival(now, octets, packets_there, octets_there)

    def on_departure(self, now: Nanos, waited: Nanos, octets_left: Octets) -> Verdict:
        """Follow the state machine of RFC 8289, 5.5."""
        above = self._above(now, waited, octets_left)
        if self._dropping:
            if not above:
                self._dropping = False
            elif now >= self._next:
                self._count += 1
                self._next = self._later(self._next)
                return self._verdict
        elif above:
            self._dropping = True
            recent = self._count - self._last_count
            again = recent > 1 and now - self._next < 16 * self._interval
            self._count = recent if again else 1
            self._next = self._later(now)
            self._last_count = self._count
            return self._verdict
        return Verdict.PASS

    def _above(self, now: Nanos, waited: Nanos, octets_left: Octets) -> bool:
        """Return whether packets have waited too long for a whole interval."""
        if waited < self._target or octets_left <= self._largest:
            self._above_at = 0
            return False
        if self._above_at == 0:
            self._above_at = now + self._interval
            return False
        return now >= self._above_at

    def _later(self, time: Nanos) -> Nanos:
        """Return the next time to drop: the interval over the root of the count."""
        return time + (self._interval << 16) // isqrt(self._count << 32)
