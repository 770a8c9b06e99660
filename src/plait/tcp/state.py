"""The states of a TCP connection and the closing half of its machine (RFC 9293, 3.3.2)."""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """RFC 9293's states; LISTEN belongs to the host's listeners."""

    CLOSED = "CLOSED"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"


class Input(Enum):
    """What moves a synchronized connection toward its end."""

    CLOSE = "our FIN is queued"
    FIN_ACKED = "our FIN was acknowledged"
    FIN_RECEIVED = "the peer's FIN is in order"
    EXPIRED = "twice the maximum segment lifetime passed"


class Role(Enum):
    """Who began a connection."""

    INITIATOR = "we sent the first SYN, as far as we knew"
    LISTENER = "the peer did"
    FAST_LISTENER = "the peer did, with a Fast Open cookie of ours"


class Failure(Enum):
    """Why a TCP connection ended other than by FINs."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    TIMED_OUT = "timed out"
    ABORTED = "aborted"


TRANSITIONS: Final[dict[tuple[State, Input], State]] = {
    (State.ESTABLISHED, Input.CLOSE): State.FIN_WAIT_1,
    (State.ESTABLISHED, Input.FIN_RECEIVED): State.CLOSE_WAIT,
    (State.CLOSE_WAIT, Input.CLOSE): State.LAST_ACK,
    (State.FIN_WAIT_1, Input.FIN_ACKED): State.FIN_WAIT_2,
    (State.FIN_WAIT_1, Input.FIN_RECEIVED): State.CLOSING,
    (State.FIN_WAIT_2, Input.FIN_RECEIVED): State.TIME_WAIT,
    (State.CLOSING, Input.FIN_ACKED): State.TIME_WAIT,
    (State.LAST_ACK, Input.FIN_ACKED): State.CLOSED,
    (State.TIME_WAIT, Input.EXPIRED): State.CLOSED,
}


def step(state: State, given: Input) -> State:
    """Return the next state; inputs the table omits change nothing."""
    return TRANSITIONS.get((state, given), state)


# Tuples, since looking for the usual state in a set costs a call of Enum.__hash__ each time.

SYNCHRONIZED: Final = (
    State.ESTABLISHED,
    State.FIN_WAIT_1,
    State.FIN_WAIT_2,
    State.CLOSE_WAIT,
    State.CLOSING,
    State.LAST_ACK,
    State.TIME_WAIT,
)
"""States in which both sides know each other's sequence numbers."""

CAN_SEND: Final = (State.ESTABLISHED, State.CLOSE_WAIT)
"""States in which new data may be queued."""

CAN_RECEIVE: Final = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)
"""States in which payload is taken."""

# What hot code compares with: to find a member in its class takes Python 3.11 ten times as long.

CLOSED: Final = State.CLOSED
SYN_SENT: Final = State.SYN_SENT
SYN_RECEIVED: Final = State.SYN_RECEIVED
ESTABLISHED: Final = State.ESTABLISHED
"""Members of `State`."""
