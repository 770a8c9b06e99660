"""What each scheduler chooses, and the contract that all of them keep."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import UsageError
from plait.scheduling import Grant, Scheduler, SubflowView, schedulers
from plait.units import MILLISECOND, Nanos, Octets

MSS = 1000
BURST = 60_000
PLENTY = 1 << 40


def view(
    index: int,
    *,
    room: Octets = 50_000,
    rtt_ms: float = 10,
    cwnd: Octets = 100_000,
    in_flight: Octets = 50_000,
    var_ms: float = 0,
    backup: bool = False,
    stale: bool = False,
) -> SubflowView:
    srtt, rttvar = round(rtt_ms * MILLISECOND), round(var_ms * MILLISECOND)
    return SubflowView(index, room, BURST, MSS, cwnd, in_flight, srtt, rttvar, backup, stale)


def ask(
    scheduler: Scheduler,
    *views: SubflowView,
    octets: Octets = 1_000_000,
    edge: Octets = PLENTY,
    now: Nanos = 0,
) -> list[Grant]:
    return scheduler.schedule(now, 0, octets, edge, views)


def chosen(text: str, *views: SubflowView, octets: Octets = 1_000_000) -> list[int]:
    """Return the subflows that get the first grants of a scheduler."""
    return [grant.index for grant in ask(schedulers.make(text), *views, octets=octets)]


FULL = view(0, room=0)

CHOICES = {
    "active-standby: the oldest": ("active-standby", [view(0, rtt_ms=90), view(1)], [0]),
    "active-standby: no overflow": ("active-standby", [FULL, view(1)], []),
    "active-standby: fails over": ("active-standby", [view(0, stale=True), view(1)], [1]),
    "active-standby: no backup": ("active-standby", [view(0, backup=True), view(1)], [1]),
    "smallest delay": ("smallest-delay", [view(0, rtt_ms=90), view(1)], [1]),
    "smallest delay: no overflow": ("smallest-delay", [view(0, rtt_ms=90), view(1, room=0)], []),
    "priority: in order": ("priority", [view(0, rtt_ms=90), view(1)], [0]),
    "priority: overflows at once": ("priority", [FULL, view(1)], [1]),
    "priority: below the threshold": ("priority:overflow_ms=200", [FULL, view(1)], []),
    "priority: above the threshold": ("priority:overflow_ms=99", [FULL, view(1)], [1]),
    "cheap first: waits": ("cheap-first", [FULL, view(1)], []),
    "redundant: all, the fastest first": ("redundant", [view(0, rtt_ms=90), view(1)], [1, 0]),
    "redundant: on backups, too": ("redundant", [view(0, backup=True), view(1)], [1, 0]),
    "redundant: k copies": ("redundant:copies=2", [view(0), view(1), view(2)], [0, 1]),
    "redundant: who is full misses some": ("redundant", [FULL, view(1)], [1]),
    "redundant: not on who is silent": ("redundant", [view(0, stale=True), view(1)], [1]),
    "blest: the fastest": ("blest", [view(0, rtt_ms=90), view(1)], [1]),
    "ecf: the fastest": ("ecf", [view(0, rtt_ms=90), view(1)], [1]),
}


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-01")
@pytest.mark.parametrize(("text", "views", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_choice(text: str, views: list[SubflowView], expected: list[int]) -> None:
    assert chosen(text, *views) == expected


def test_round_robin_takes_turns_and_leaves_out_the_full() -> None:
    scheduler = schedulers.make("round-robin")
    views = [view(0, rtt_ms=90), view(1), view(2)]
    turns = [ask(scheduler, *views)[0].index for _ in range(6)]
    assert turns == [0, 1, 2, 0, 1, 2]
    assert [ask(scheduler, FULL, view(1), view(2))[0].index for _ in range(3)] == [1, 2, 1]


@pytest.mark.parametrize(
    ("split", "expected"), [("50/50", (0.5, 0.5)), ("70/30", (0.7, 0.3)), ("1/2/1", (0.25, 0.5))]
)
def test_a_load_split_keeps_the_shares(split: str, expected: tuple[float, ...]) -> None:
    scheduler = schedulers.make(f"load-split:split={split}")
    sent: Counter[int] = Counter()
    for _ in range(400):
        for grant in ask(scheduler, *(view(index) for index in range(split.count("/") + 1))):
            sent[grant.index] += grant.stop - grant.start
    for index, share in enumerate(expected):
        assert sent[index] / sent.total() == pytest.approx(share, abs=0.01)


def test_a_strict_split_waits_for_who_is_behind() -> None:
    views = [view(0), view(1, room=0)]
    for text, expected in (("load-split", [0, 0]), ("load-split:strict=yes", [0, None])):
        scheduler = schedulers.make(text)
        grants = [ask(scheduler, *views) for _ in range(2)]
        assert [grant[0].index if grant else None for grant in grants] == expected


def test_a_new_subflow_does_not_have_to_make_up_for_the_past() -> None:
    scheduler = schedulers.make("load-split")
    for _ in range(50):
        ask(scheduler, view(0))
    late = [ask(scheduler, view(0), view(1))[0].index for _ in range(20)]
    assert 8 <= late.count(0) <= 12


def blocks(edge: Octets, *, scale: float = 1.0) -> bool:
    """Return whether BLEST waits for a subflow ten times as fast, with ten segments a window."""
    fast = view(0, room=0, rtt_ms=10, cwnd=10 * MSS)
    slow = view(1, room=10 * MSS, rtt_ms=100)
    return not ask(schedulers.make(f"blest:scale={scale}"), fast, slow, edge=edge)


def test_blest_waits_where_the_window_has_no_room_for_both() -> None:
    meanwhile = int((10 * MSS + 4.5 * MSS) * 10)
    assert blocks(10 * MSS + meanwhile - 1)
    assert not blocks(10 * MSS + meanwhile)
    assert not blocks(10 * MSS + meanwhile - 1, scale=0.9)


def waits(octets: Octets, slow_ms: float, *, var_ms: float = 0) -> bool:
    """Return whether ECF waits for a subflow of 10 ms, with ten segments a window."""
    fast = view(0, room=0, rtt_ms=10, cwnd=10 * MSS, var_ms=var_ms)
    slow = view(1, rtt_ms=slow_ms, cwnd=10 * MSS)
    return not ask(schedulers.make("ecf"), fast, slow, octets=octets)


def test_ecf_compares_when_the_rest_would_be_done() -> None:
    assert waits(10 * MSS, 25)  # 20 ms against 25, and 25 is no less than two fast round trips
    assert not waits(20 * MSS, 25)  # 30 ms
    assert not waits(5 * MSS, 19)  # so little on the slow one is not worth the wait
    assert not waits(10 * MSS, 25, var_ms=10)  # too uncertain


def test_ecf_wavers_not() -> None:
    scheduler = schedulers.make("ecf")
    fast = view(0, room=0, rtt_ms=10, cwnd=10 * MSS)
    slow = view(1, rtt_ms=25, cwnd=10 * MSS)
    assert ask(scheduler, fast, slow, octets=15 * MSS)
    assert not ask(scheduler, fast, slow, octets=14 * MSS)
    assert not ask(scheduler, fast, slow, octets=21 * MSS)
    assert ask(scheduler, fast, slow, octets=22 * MSS)


@pytest.mark.parametrize("name", ["blest", "ecf"])
def test_who_waits_has_something_in_flight_there(name: str) -> None:
    idle = view(0, room=0, rtt_ms=10, cwnd=10 * MSS, in_flight=0)
    assert ask(schedulers.make(name), idle, view(1, rtt_ms=25), octets=10 * MSS, edge=10 * MSS)


views = st.lists(
    st.builds(
        view,
        st.integers(0, 7),
        room=st.sampled_from([0, 1, MSS, 200_000]),
        rtt_ms=st.sampled_from([0, 1, 10, 300]),
        cwnd=st.integers(MSS, 1_000_000),
        in_flight=st.sampled_from([0, MSS, 100_000]),
        var_ms=st.sampled_from([0, 5]),
        backup=st.booleans(),
        stale=st.booleans(),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.index,
)
steps = st.lists(st.tuples(views, st.integers(1, 300_000)), min_size=1, max_size=20)


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-02")
@pytest.mark.parametrize("name", schedulers.names())
@given(steps=steps, start=st.integers(0, 1 << 40), ahead=st.integers(0, 1 << 20))
def test_grants_keep_the_contract(
    name: str, steps: list[tuple[list[SubflowView], int]], start: int, ahead: int
) -> None:
    scheduler = schedulers.make(name)
    for subflows, length in steps:
        stop = start + length
        grants = scheduler.schedule(0, start, stop, stop + ahead, subflows)
        by_index = {one.index: one for one in subflows}
        assert len({grant.index for grant in grants}) == len(grants)
        for grant in grants:
            granted = by_index[grant.index]
            assert grant.start == start < grant.stop <= stop
            assert grant.stop - grant.start <= min(granted.room, granted.burst)
        answering = [one for one in subflows if not one.stale]
        if answering:
            assert not any(by_index[grant.index].stale for grant in grants)
        if name != "redundant" and any(not one.backup for one in answering or subflows):
            assert not any(by_index[grant.index].backup for grant in grants)


BAD = {
    "round-robins": "unknown scheduler",
    "load-split:split=70-30": "split: '70-30' is no list",
    "load-split:split=0/1": "split: a share must be more than 0",
    "redundant:copies=-1": "copies: must not be negative",
    "redundant:copies=two": "copies: 'two' is not a number",
    "priority:overflow=1": "unknown key; known are overflow_ms",
    "priority:overflow_ms=soon": "'soon' is not milliseconds",
    "load-split:strict": "strict: needs a value",
    "load-split:strict=maybe": "'maybe' is not yes or no",
}


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=BAD.keys())
def test_what_makes_no_sense_is_said_so(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        schedulers.make(text)
