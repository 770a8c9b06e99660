"""Chance: everything random in a simulation follows from one number."""

from __future__ import annotations

from hashlib import sha256
from math import log
from random import Random


class Seed:
    """Gives each part of a simulation a random source of its own.

    A source depends on the seed and on its own name only, so that adding a part to a scenario
    changes nothing for the others.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def octets(self, name: str) -> bytes:
        """Return 32 octets for the part called `name`."""
        return sha256(f"{self.number}/{name}".encode()).digest()

    def random(self, name: str) -> Random:
        """Return a source for the part called `name`, the same on every version of Python."""
        return Random(int.from_bytes(self.octets(name), "big"))  # noqa: S311 - repeatable on purpose


def exponential(random: Random, mean: float) -> float:
    """Return an exponentially distributed number."""
    return -mean * log(1.0 - random.random())
