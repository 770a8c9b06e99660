"""F-RTO: new data asks whether a time-out was spurious (RFC 5682).

After a time-out only the first segment is sent again.  If its ACK moves SND.UNA, new data follows
in place of more retransmissions; if octets that were sent only once are acknowledged then, nothing
had been lost.
"""

from __future__ import annotations

from enum import Enum


class Stage(Enum):
    """Where the algorithm stands; names of steps as in RFC 5682, 2.1 and 3.1."""

    OFF = 0
    FIRST_ACK = 1
    """Step 2: the first segment was sent again."""

    SECOND_ACK = 2
    """Step 3: new data was sent, or is to be."""


class Verdict(Enum):
    """What an ACK tells."""

    OPEN = 0
    SPURIOUS = 1
    GENUINE = 2


class Frto:
    """The state between a time-out and the verdict on it."""

    __slots__ = ("stage",)

    def __init__(self) -> None:
        self.stage = Stage.OFF

    @property
    def holding(self) -> bool:
        """Whether new data takes the place of retransmissions."""
        return self.stage is Stage.SECOND_ACK

    def start(self) -> None:
        """The retransmission timer fired for the first time since there was progress."""
        self.stage = Stage.FIRST_ACK

    def stop(self) -> None:
        """Go on with the conventional recovery."""
        self.stage = Stage.OFF

    def on_ack(self, *, advanced: bool, original: bool, news: bool, sack: bool) -> Verdict:
        """Take an ACK below the recovery point.

        Args:
            advanced: It moved SND.UNA.
            original: It acknowledged octets sent once, before the time-out.
            news: It acknowledged anything, or is a duplicate ACK.
            sack: The connection uses SACK.
        """
        if self.stage is Stage.FIRST_ACK:
            if advanced:
                self.stage = Stage.SECOND_ACK
            elif news and not sack:
                self.stage = Stage.OFF
                return Verdict.GENUINE
        elif self.stage is Stage.SECOND_ACK:
            if original if sack else advanced:
                self.stage = Stage.OFF
                return Verdict.SPURIOUS
            if news:
                self.stage = Stage.OFF
                return Verdict.GENUINE
        return Verdict.OPEN
