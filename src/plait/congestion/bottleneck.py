"""Shared bottlenecks: paths whose delay rises and falls together share a queue.

RFC 8382 compares skewness, variability and loss of one-way delays.  A sender sees round-trip times
alone, and so this test is a simpler one: of two paths with one queue, the mean round-trip times of
an interval differ by the same amount in every interval, whatever the queue does.  Queues elsewhere,
and on the way back, blur the picture.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from plait.units import MILLISECOND, Nanos

INTERVAL: Final = 200 * MILLISECOND
"""Longer than most round-trip times, since paths show the same queue a part of one apart."""

KEPT: Final = 60
"""Intervals that are remembered."""

LEAST: Final = 25
"""Intervals that both paths must have in common before they can be compared."""

ALIKE: Final = 0.2
"""Concordance from which on two paths count as one bottleneck: in doubt they do."""


class Delays:
    """The mean round-trip times of one path, by interval."""

    def __init__(self) -> None:
        self.number = -1
        """The interval that lasts, counted from time 0."""

        self.means: deque[tuple[int, float]] = deque(maxlen=KEPT)
        """Intervals that had samples, with their means in nanoseconds."""

        self._sum: Nanos = 0
        self._samples = 0

    def add(self, now: Nanos, rtt: Nanos) -> bool:
        """Take a sample; return whether it is the first of an interval."""
        number = now // INTERVAL
        turned = number != self.number
        if turned:
            if self._samples:
                self.means.append((self.number, float(self._sum) / float(self._samples)))
            self.number = number
            self._sum = 0
            self._samples = 0
        self._sum += rtt
        self._samples += 1
        return turned


def shared(one: Delays, other: Delays) -> bool | None:
    """Return whether two paths share a bottleneck; None as long as too little is known."""
    delays, others = dict(one.means), dict(other.means)
    common = delays.keys() & others.keys()
    if len(common) < LEAST:
        return None
    return concordance([(delays[at], others[at]) for at in sorted(common)]) >= ALIKE


def concordance(pairs: list[tuple[float, float]]) -> float:
    """Return 1 less the variance of the difference by the sum of both variances.

    It is 1 for values that move alike, by the same amount, 0 for those that have nothing to do with
    each other, and 1 as well where nothing moves at all.
    """
    apart = _variance([x - y for x, y in pairs])
    both = _variance([x for x, _ in pairs]) + _variance([y for _, y in pairs])
    return max(1.0 - apart / both, -1.0) if both else 1.0


def _variance(values: list[float]) -> float:
    mean = sum(values) / float(len(values))
    return sum((value - mean) ** 2 for value in values) / float(len(values))
