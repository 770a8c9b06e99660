"""The data-level state machine of RFC 8684, appendix D, enumerated."""

from __future__ import annotations

from itertools import product

import pytest

from plait.mptcp.state import TRANSITIONS, Input, State, step

S, G = State, Input

PATHS = {
    "we close first": (
        [G.CLOSE, G.DATA_FIN_ACKED, G.DATA_FIN_RECEIVED, G.SUBFLOWS_CLOSED],
        [S.FIN_WAIT_1, S.FIN_WAIT_2, S.TIME_WAIT, S.CLOSED],
    ),
    "the peer closes first": (
        [G.DATA_FIN_RECEIVED, G.CLOSE, G.DATA_FIN_ACKED, G.SUBFLOWS_CLOSED],
        [S.CLOSE_WAIT, S.LAST_ACK, S.TIME_WAIT, S.CLOSED],
    ),
    "DATA_FINs cross": (
        [G.CLOSE, G.DATA_FIN_RECEIVED, G.DATA_FIN_ACKED, G.SUBFLOWS_CLOSED],
        [S.FIN_WAIT_1, S.CLOSING, S.TIME_WAIT, S.CLOSED],
    ),
}


@pytest.mark.rfc("8684", "D", "M8684-D-01")
@pytest.mark.rfc("8684", "3.3.3", "M8684-3.3.3-12")
@pytest.mark.parametrize(("inputs", "states"), PATHS.values(), ids=PATHS.keys())
def test_paths_of_appendix_d(inputs: list[Input], states: list[State]) -> None:
    state = step(S.OPENING, G.OPENED)
    assert state is S.ESTABLISHED
    seen = []
    for given in inputs:
        state = step(state, given)
        seen.append(state)
    assert seen == states


@pytest.mark.parametrize(
    ("state", "given"), [pair for pair in product(S, G) if pair not in TRANSITIONS]
)
def test_what_the_table_omits_changes_nothing(state: State, given: Input) -> None:
    assert step(state, given) is state
