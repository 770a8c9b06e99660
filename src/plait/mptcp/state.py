"""The states of a Multipath TCP connection (RFC 8684, appendix D) and of its subflows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from plait.addresses import IpAddress


class State(Enum):
    """The data-level states, M_ left out; the stream of a plain TCP connection has them too."""

    OPENING = "OPENING"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN_WAIT_1"
    FIN_WAIT_2 = "FIN_WAIT_2"
    CLOSE_WAIT = "CLOSE_WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST_ACK"
    TIME_WAIT = "TIME_WAIT"
    FASTCLOSE_WAIT = "FASTCLOSE_WAIT"
    CLOSED = "CLOSED"


OVER: Final = (State.TIME_WAIT, State.FASTCLOSE_WAIT, State.CLOSED)
"""States in which the stream has ended or was given up: no subflow is wanted any more."""


class Input(Enum):
    """What moves the data level."""

    OPENED = "the first subflow is established"
    CLOSE = "the application closed its direction"
    DATA_FIN_ACKED = "our DATA_FIN was acknowledged"
    DATA_FIN_RECEIVED = "the peer's DATA_FIN is in order"
    SUBFLOWS_CLOSED = "no subflow is left"


TRANSITIONS: Final[dict[tuple[State, Input], State]] = {
    (State.OPENING, Input.OPENED): State.ESTABLISHED,
    (State.ESTABLISHED, Input.CLOSE): State.FIN_WAIT_1,
    (State.ESTABLISHED, Input.DATA_FIN_RECEIVED): State.CLOSE_WAIT,
    (State.CLOSE_WAIT, Input.CLOSE): State.LAST_ACK,
    (State.FIN_WAIT_1, Input.DATA_FIN_ACKED): State.FIN_WAIT_2,
    (State.FIN_WAIT_1, Input.DATA_FIN_RECEIVED): State.CLOSING,
    (State.FIN_WAIT_2, Input.DATA_FIN_RECEIVED): State.TIME_WAIT,
    (State.CLOSING, Input.DATA_FIN_ACKED): State.TIME_WAIT,
    (State.LAST_ACK, Input.DATA_FIN_ACKED): State.TIME_WAIT,
    (State.TIME_WAIT, Input.SUBFLOWS_CLOSED): State.CLOSED,
}
"""RFC 8684 deletes the state after LAST_ACK; here its subflows still have FINs to exchange."""


def step(state: State, given: Input) -> State:
    """Return the next state; inputs the table omits change nothing."""
    return TRANSITIONS.get((state, given), state)


class Mode(Enum):
    """What the connection speaks."""

    MPTCP = "Multipath TCP"
    TCP = "TCP"


class Change(Enum):
    """What the application hears of a subflow."""

    UP = "carries data from now on"
    DOWN = "ended"
    PRIORITY = "the peer asks to spare it, or no more"
    FELL_BACK = "goes on alone, as plain TCP"
    CHECKSUM_FAILED = "brought data whose DSS checksum is wrong"
    FAIL_RECEIVED = "brought MP_FAIL"


@dataclass(frozen=True, slots=True)
class AddressChange:
    """What the application hears of an address of the peer."""

    address_id: int
    address: IpAddress
    port: int
    """0 for that of the connection."""

    present: bool


class Phase(Enum):
    """How far a subflow is."""

    OPENING = "SYNs are exchanged"
    PRE_ESTABLISHED = "our MP_JOIN ACK waits to be acknowledged"
    ACTIVE = "carries data"
    ABORTING = "our MP_FASTCLOSE waits for a RST"
    CLOSED = "ended"


# What hot code compares with: to find a member in its class takes Python 3.11 ten times as long.

MPTCP: Final = Mode.MPTCP
TCP: Final = Mode.TCP
OPENING: Final = Phase.OPENING
PRE_ESTABLISHED: Final = Phase.PRE_ESTABLISHED
ACTIVE: Final = Phase.ACTIVE
ENDED: Final = Phase.CLOSED
"""Members of `Mode` and `Phase`."""
