"""Which packets a link loses on the wire, after they took their time on it."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from plait.errors import UsageError


class Loss:
    """Decides packet by packet; this one loses none."""

    def lose(self) -> bool:
        """Return whether the next packet is lost."""
        return False


class Bernoulli(Loss):
    """Loses each packet with the same probability, 0 to 1."""

    def __init__(self, random: Random, probability: float) -> None:
        check_probability("loss", probability)
        self._random = random
        self._probability = probability

    def lose(self) -> bool:
        """Throw once."""
        return self._random.random() < self._probability


class GilbertElliott(Loss):
    """Loses in bursts: a good and a bad state, each with a loss of its own (Elliott, 1963).

    Args:
        to_bad: Probability, before each packet in the good state, to go to the bad one.
        to_good: The way back.
        in_bad: Loss in the bad state.
        in_good: Loss in the good state.
    """

    def __init__(
        self,
        random: Random,
        to_bad: float,
        to_good: float,
        in_bad: float = 1.0,
        in_good: float = 0.0,
    ) -> None:
        for name, value in (("to_bad", to_bad), ("to_good", to_good)):
            check_probability(name, value)
        for name, value in (("in_bad", in_bad), ("in_good", in_good)):
            check_probability(name, value)
        self._random = random
        self._to_bad = to_bad
        self._to_good = to_good
        self._in_bad = in_bad
        self._in_good = in_good
        self._bad = False

    def lose(self) -> bool:
        """Change state perhaps, then throw with the loss of the state."""
        leave = self._to_good if self._bad else self._to_bad
        if self._random.random() < leave:
            self._bad = not self._bad
        return self._random.random() < (self._in_bad if self._bad else self._in_good)


class Mask(Loss):
    """Loses by script: `x` loses a packet, `.` passes one; at its end all pass, or it repeats."""

    def __init__(self, mask: str, *, repeat: bool = False) -> None:
        if not mask or set(mask) - {"x", "."}:
            raise UsageError(f"a mask consists of x (lost) and . (passed), not {mask!r}")
        self._mask = mask
        self._repeat = repeat
        self._at = 0

    def lose(self) -> bool:
        """Read the next letter."""
        if self._at == len(self._mask):
            if not self._repeat:
                return False
            self._at = 0
        self._at += 1
        return self._mask[self._at - 1] == "x"


class Numbered(Loss):
    """Loses the packets with these numbers, the first being 1."""

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = frozenset(numbers)
        self._count = 0

    def lose(self) -> bool:
        """Count one more."""
        self._count += 1
        return self._count in self._numbers


def check_probability(name: str, value: float) -> None:
    """Raise UsageError unless `value` is a probability."""
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is a probability from 0 to 1, not {value}")
