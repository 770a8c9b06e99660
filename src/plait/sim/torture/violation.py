"""What the torture rig raises when an invariant does not hold."""

from __future__ import annotations

from plait.units import SECOND, Nanos


class Violation(Exception):
    """An invariant does not hold.

    Args:
        invariant: Which one, in a word.
        at: When, in nanoseconds of virtual time.
        text: What happened.
        packet: The packet it showed in, if any.
    """

    def __init__(self, invariant: str, at: Nanos, text: str, packet: str = "") -> None:
        super().__init__(f"{invariant} at {at / SECOND:.6f} s: {text}")
        self.invariant = invariant
        self.at = at
        self.text = text
        self.packet = packet
