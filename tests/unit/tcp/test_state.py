"""The closing half of TCP's state machine, enumerated."""

from __future__ import annotations

from itertools import product

import pytest

from plait.tcp.state import TRANSITIONS, Input, State, step

S, G = State, Input

PATHS = {
    "we close first": (
        [G.CLOSE, G.FIN_ACKED, G.FIN_RECEIVED, G.EXPIRED],
        [S.FIN_WAIT_1, S.FIN_WAIT_2, S.TIME_WAIT, S.CLOSED],
    ),
    "the peer closes first": (
        [G.FIN_RECEIVED, G.CLOSE, G.FIN_ACKED],
        [S.CLOSE_WAIT, S.LAST_ACK, S.CLOSED],
    ),
    "FINs cross": (
        [G.CLOSE, G.FIN_RECEIVED, G.FIN_ACKED, G.EXPIRED],
        [S.FIN_WAIT_1, S.CLOSING, S.TIME_WAIT, S.CLOSED],
    ),
}


@pytest.mark.rfc("9293", "3.3.2", "B9293-02")
@pytest.mark.parametrize(("inputs", "states"), PATHS.values(), ids=PATHS.keys())
def test_paths_of_figure_5(inputs: list[Input], states: list[State]) -> None:
    state = S.ESTABLISHED
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


def test_every_synchronized_state_ends_in_closed() -> None:
    reached = {S.CLOSED}
    while True:
        before = len(reached)
        reached |= {state for (state, _), after in TRANSITIONS.items() if after in reached}
        if len(reached) == before:
            break
    assert reached == set(S) - {S.SYN_SENT, S.SYN_RECEIVED}
