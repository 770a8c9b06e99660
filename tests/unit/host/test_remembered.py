"""The bounded table of what is known about peers."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from plait.host.remembered import Remembered

KEYS = st.integers(0, 5).map(lambda number: bytes([number]))
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, st.integers(1, 99)),
    st.tuples(st.sampled_from(["find", "forget"]), KEYS, st.just(0)),
)


@given(limit=st.integers(0, 4), steps=st.lists(STEPS, max_size=60))
def test_it_keeps_what_was_used_last(limit: int, steps: list[tuple[str, bytes, int]]) -> None:
    table: Remembered[int] = Remembered(limit)
    model: OrderedDict[bytes, int] = OrderedDict()
    for step, key, value in steps:
        if step == "put":
            table.put(key, value)
            model[key] = value
            model.move_to_end(key)
            if len(model) > limit:
                model.popitem(last=False)
        elif step == "forget":
            table.forget(key)
            model.pop(key, None)
        else:
            assert table.find(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        assert len(table) == len(model)
