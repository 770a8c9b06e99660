"""The windowed maximum against the plain one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.congestion.windowed_max import WindowedMax


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=80),
    length=st.integers(1, 10),
)
def test_it_is_the_largest_of_the_window(steps: list[tuple[int, int]], length: int) -> None:
    window = WindowedMax()
    seen: list[tuple[int, int]] = []
    now = 0
    for pause, value in steps:
        now += pause
        seen.append((now, value))
        recent = max(one for at, one in seen if at > now - length)
        assert window.update(now, value, length) == recent
