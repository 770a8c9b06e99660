"""BBR's states, and how fast and how much each lets go (draft-ietf-ccwg-bbr-06, 5.1 and 5.6.1)."""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """States and phases (5.1.1)."""

    STARTUP = 0
    DRAIN = 1
    PROBE_BW_DOWN = 2
    PROBE_BW_CRUISE = 3
    PROBE_BW_REFILL = 4
    PROBE_BW_UP = 5
    PROBE_RTT = 6


class AckPhase(Enum):
    """What the ACKs that come tell of the last probe for bandwidth (5.3.3.9)."""

    INIT = 0
    REFILLING = 1
    PROBE_STARTING = 2
    PROBE_FEEDBACK = 3
    PROBE_STOPPING = 4


GAINS: Final[dict[State, tuple[int, int]]] = {
    State.STARTUP: (277, 200),
    State.DRAIN: (50, 200),
    State.PROBE_BW_DOWN: (90, 200),
    State.PROBE_BW_CRUISE: (100, 200),
    State.PROBE_BW_REFILL: (100, 200),
    State.PROBE_BW_UP: (125, 225),
    State.PROBE_RTT: (100, 50),
}
"""Gains of pacing rate and window in percent (5.6.1)."""

PROBE_BW: Final = (
    State.PROBE_BW_DOWN,
    State.PROBE_BW_CRUISE,
    State.PROBE_BW_REFILL,
    State.PROBE_BW_UP,
)
ACCELERATING: Final = (State.STARTUP, State.PROBE_BW_REFILL, State.PROBE_BW_UP)
