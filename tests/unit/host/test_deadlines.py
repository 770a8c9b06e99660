from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.host.deadlines import SLACK, Deadlines


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.integers(1, 50), st.sampled_from(["set", "forget", "due"])),
        max_size=60,
    )
)
def test_early_perhaps_late_never(steps: list[tuple[int, int, str]]) -> None:
    deadlines = Deadlines()
    wanted: dict[int, int] = {}
    now = 0
    for connection_id, at, kind in steps:
        if kind == "set":
            deadlines.set(connection_id, now + at)
            wanted[connection_id] = min(wanted.get(connection_id, now + at), now + at)
        elif kind == "forget":
            deadlines.forget(connection_id)
            wanted.pop(connection_id, None)
        else:
            now += at
            due = deadlines.take_due(now)
            assert {known for known, time in wanted.items() if time <= now} <= set(due)
            for known in due:
                wanted.pop(known, None)
        soonest = deadlines.soonest()
        if wanted:
            assert soonest is not None
            assert soonest <= min(wanted.values())


def test_nothing_is_due_once_all_are_gone() -> None:
    deadlines = Deadlines()
    for connection_id in range(10):
        deadlines.set(connection_id, 1000 + connection_id)
        deadlines.set(connection_id, 500 - connection_id)
    for connection_id in range(10):
        deadlines.forget(connection_id)
    assert deadlines.soonest() is None


def test_far_deadlines_of_connections_that_are_gone_do_not_pile_up() -> None:
    deadlines = Deadlines()
    deadlines.set(0, 1)
    for connection_id in range(1, 10_000):
        deadlines.set(connection_id, 1_000_000)
        deadlines.forget(connection_id)
    assert len(deadlines._heap) <= SLACK + 2
    assert deadlines.take_due(1) == [0]
