"""How fast a link transmits: not at all limited, constant, in steps, or by recorded chances."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from plait.errors import UsageError
from plait.units import MILLISECOND, SECOND, Nanos, Octets

OPPORTUNITY: Final[Octets] = 1500
"""Octets that one line of a Mahimahi trace lets pass."""


class Rate:
    """Tells when transmissions end; the link asks in order of time, for one after the other."""

    def finish(self, start: Nanos, octets: Octets) -> Nanos:
        """Return when `octets` are out if the transmitter is free from `start` on."""
        return start

    def bits(self, start: Nanos, stop: Nanos) -> int | None:
        """Return what could be transmitted between two times; None is without limit."""
        return None


class Constant(Rate):
    """So many bits each second."""

    def __init__(self, bits_per_second: int) -> None:
        if bits_per_second <= 0:
            raise UsageError(f"a rate is more than 0 bit/s, not {bits_per_second}")
        self._bits_per_second = bits_per_second

    def finish(self, start: Nanos, octets: Octets) -> Nanos:
        """Return the end of a transmission that begins at `start`."""
        return start + octets * 8 * SECOND // self._bits_per_second

    def bits(self, start: Nanos, stop: Nanos) -> int:
        """Return the capacity between two times."""
        return (stop - start) * self._bits_per_second // SECOND


class Steps(Rate):
    """A rate that changes at given times and holds from the last of them on."""

    def __init__(self, steps: Sequence[tuple[Nanos, int]]) -> None:
        """Take times, from 0 on and rising, with the bits per second that hold from then on.

        Raises UsageError if they are not that, or if the last rate is 0.
        """
        times = [time for time, _ in steps]
        if not times or times[0] != 0 or any(one >= two for one, two in pairwise(times)):
            raise UsageError("a trace of rates begins at time 0 and goes forward")
        if min(rate for _, rate in steps) < 0 or steps[-1][1] == 0:
            raise UsageError("rates of a trace are not negative, and the last is not 0")
        self._times = times
        self._rates = [rate for _, rate in steps]

    def finish(self, start: Nanos, octets: Octets) -> Nanos:
        """Return the end of a transmission that begins at `start` or when there is a rate again."""
        left = octets * 8 * SECOND
        at = bisect_right(self._times, start) - 1
        while at + 1 < len(self._times):
            room = (self._times[at + 1] - start) * self._rates[at]
            if left <= room:
                break
            left -= room
            at += 1
            start = self._times[at]
        return start + left // self._rates[at] if left else start

    def bits(self, start: Nanos, stop: Nanos) -> int:
        """Return the capacity between two times."""
        total = 0
        edges = [*self._times[1:], max(stop, self._times[-1])]
        for begin, end, rate in zip(self._times, edges, self._rates, strict=True):
            total += max(0, min(end, stop) - max(begin, start)) * rate
        return total // SECOND


class Opportunities(Rate):
    """A Mahimahi trace: at each recorded time 1500 octets may leave, and it repeats for ever.

    What is not used at its time is lost; what one packet leaves over is for the next.
    """

    def __init__(self, milliseconds: Sequence[int]) -> None:
        """Take the times in milliseconds; the last is the period.

        Raises UsageError if they go back or the last is 0.
        """
        if not milliseconds or milliseconds[0] < 0 or milliseconds[-1] <= 0:
            raise UsageError("a Mahimahi trace has times in milliseconds, the last not 0")
        if any(one > two for one, two in pairwise(milliseconds)):
            raise UsageError("the times of a Mahimahi trace do not go back")
        self._times = [time * MILLISECOND for time in milliseconds]
        self._period = self._times[-1]
        self._index = 0
        self._left = OPPORTUNITY

    def finish(self, start: Nanos, octets: Octets) -> Nanos:
        """Return the time of the opportunity that takes the last octet."""
        if self._time(self._index) < start:
            self._index = self._first(start)
            self._left = OPPORTUNITY
        while octets > self._left:
            octets -= self._left
            self._index += 1
            self._left = OPPORTUNITY
        self._left -= octets
        return self._time(self._index)

    def bits(self, start: Nanos, stop: Nanos) -> int:
        """Return the capacity of the opportunities from `start` to before `stop`."""
        return (self._first(stop) - self._first(start)) * OPPORTUNITY * 8

    def _time(self, index: int) -> Nanos:
        cycle, at = divmod(index, len(self._times))
        return cycle * self._period + self._times[at]

    def _first(self, start: Nanos) -> int:
        """Return the index of the first opportunity at `start` or later."""
        cycle = max(0, -(-start // self._period) - 1)
        at = bisect_left(self._times, start - cycle * self._period)
        return cycle * len(self._times) + at


def parse_mahimahi(text: str) -> Opportunities:
    """Read a Mahimahi trace: a time in milliseconds on each line.  Raises UsageError."""
    try:
        times = [int(line) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        raise UsageError("a Mahimahi trace has one whole number on each line") from error
    return Opportunities(times)


def parse_rates(text: str) -> Steps:
    """Read lines of seconds, a comma, and Mbit/s.  Raises UsageError."""
    steps: list[tuple[Nanos, int]] = []
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            seconds, megabits = (float(field) for field in line.split(","))
        except ValueError as error:
            raise UsageError(f"{line!r} is not seconds, a comma and Mbit/s") from error
        steps.append((round(seconds * SECOND), round(megabits * 1_000_000)))
    return Steps(steps)
