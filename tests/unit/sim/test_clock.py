from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.sim.clock import Clock, Timer


@given(st.lists(st.integers(0, 20), max_size=30))
def test_things_happen_in_order_of_time_and_then_of_asking(times: list[int]) -> None:
    clock = Clock()
    happened: list[tuple[int, int]] = []
    for number, time in enumerate(times):
        clock.call_at(time, lambda number: happened.append((clock.now, number)), number)
    clock.run(100)
    assert happened == sorted((time, number) for number, time in enumerate(times))
    assert clock.now == 100


def test_soon_is_after_all_that_is_due_now_and_before_what_is_due_later() -> None:
    clock = Clock()
    order: list[str] = []

    def first(_: None) -> None:
        clock.call_soon(order.append, "soon")
        clock.call_at(clock.now, order.append, "now")
        clock.call_at(clock.now + 1, order.append, "later")

    clock.call_at(5, first)
    clock.run(10)
    assert order == ["now", "soon", "later"]


def test_the_past_is_the_present() -> None:
    clock = Clock()
    clock.run(10)
    seen: list[int] = []
    clock.call_at(3, lambda _: seen.append(clock.now))
    clock.run(20)
    assert seen == [10]


def test_what_is_later_waits() -> None:
    clock = Clock()
    seen: list[str] = []
    clock.call_at(11, seen.append, "x")
    clock.run(10)
    assert not seen
    clock.run(11)
    assert seen == ["x"]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 80)), max_size=20))
def test_a_timer_fires_at_the_deadline_set_last(orders: list[tuple[int, int]]) -> None:
    clock = Clock()
    fired: list[int] = []
    timer = Timer(clock, lambda: fired.append(clock.now))
    expected: list[int] = []
    deadline: int | None = None
    for at, delay in sorted(orders):
        if deadline is not None and deadline <= at:
            expected.append(deadline)
        clock.run(at)
        deadline = at + delay + 1
        timer.arm(deadline)
    clock.run(1000)
    if deadline is not None:
        expected.append(deadline)
    assert fired == expected


def test_a_cancelled_timer_does_not_fire_until_it_is_armed_again() -> None:
    clock = Clock()
    fired: list[int] = []
    timer = Timer(clock, lambda: fired.append(clock.now))
    timer.arm(5)
    timer.cancel()
    clock.run(10)
    timer.arm(20)
    clock.run(30)
    assert fired == [20]
