from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from plait.errors import UsageError
from plait.sim.queue import CoDel, Queue, Red, Verdict
from plait.units import MILLISECOND

PASS, MARK, DROP = Verdict.PASS, Verdict.MARK, Verdict.DROP

TAIL = {
    "room": (Queue(3, 5000), 1500, 2, 3000, PASS),
    "packets": (Queue(3, 5000), 100, 3, 300, DROP),
    "octets": (Queue(3, 5000), 1500, 2, 3501, DROP),
    "octets, exactly": (Queue(3, 5000), 1500, 2, 3500, PASS),
    "no limit": (Queue(), 1500, 10**6, 10**9, PASS),
}


@pytest.mark.parametrize(("queue", "octets", "there", "total", "verdict"), TAIL.values(), ids=TAIL)
def test_drop_tail(queue: Queue, octets: int, there: int, total: int, verdict: Verdict) -> None:
    assert queue.on_arrival(0, octets, there, total) is verdict


def verdicts(queue: Queue, length: int, count: int) -> list[Verdict]:
    return [queue.on_arrival(at, 1500, length, length * 1500) for at in range(count)]


def test_red_drops_nothing_below_and_a_share_between_its_thresholds() -> None:
    assert set(verdicts(Red(Random(1), low=5, high=15), 4, 5000)) == {PASS}
    red = Red(Random(1), low=5, high=15, most=0.1, weight=0.5)
    share = verdicts(red, 10, 5000).count(DROP) / 5000
    assert 0.05 < share < 0.15
    red = Red(Random(1), low=5, high=15, most=0.1, weight=0.5)
    assert verdicts(red, 40, 1000)[100:].count(DROP) == 900


def test_red_forgets_while_idle() -> None:
    red = Red(Random(1), low=5, high=15, weight=0.5, packet_time=MILLISECOND)
    verdicts(red, 40, 100)
    red.on_idle(2 * MILLISECOND)  # an average of 40 sinks to 10
    assert 300 < verdicts(red, 10, 5000).count(DROP) < 700
    red.on_idle(100 * MILLISECOND)
    assert verdicts(red, 4, 5000) == [PASS] * 5000


def test_red_marks_instead_but_a_full_queue_drops() -> None:
    red = Red(Random(1), 40, low=5, high=15, weight=0.5, mark=True)
    assert verdicts(red, 39, 100)[-1] is MARK
    assert red.on_arrival(200, 1500, 40, 60_000) is DROP


def codel(**options: bool) -> CoDel:
    queue = CoDel(target=5 * MILLISECOND, interval=100 * MILLISECOND, **options)
    queue.on_arrival(0, 1500, 0, 0)
    return queue


def run(queue: CoDel, waited: int, left: int = 10**5, until: int = 1000) -> list[int]:
    """Return the milliseconds at which it dropped, one packet leaving each."""
    return [
        at
        for at in range(1, until)
        if queue.on_departure(at * MILLISECOND, waited * MILLISECOND, left) is not PASS
    ]


@pytest.mark.rfc("8289", "5.3")
def test_codel_drops_faster_and_faster_once_packets_waited_for_an_interval() -> None:
    drops = run(codel(), waited=20)
    assert drops[0] == 101
    gaps = [after - before for before, after in pairwise(drops)]
    assert gaps[:3] == [100, 71, 58]  # 100 ms over the root of 1, 2, 3, to whole milliseconds
    assert gaps == sorted(gaps, reverse=True) or max(gaps[3:]) < 58


@pytest.mark.rfc("8289", "5.5")
@pytest.mark.parametrize(("waited", "left"), [(4, 10**5), (20, 1500)])
def test_codel_leaves_short_waits_and_the_last_packet_alone(waited: int, left: int) -> None:
    assert run(codel(), waited, left) == []


@pytest.mark.rfc("8289", "5.5")
def test_codel_starts_again_where_it_left_off() -> None:
    queue = codel()
    dropped = len(run(queue, waited=20))
    queue.on_departure(1000 * MILLISECOND, 0, 10**5)
    for at in range(1001, 1200):
        if queue.on_departure(at * MILLISECOND, 20 * MILLISECOND, 10**5) is not PASS:
            break
    again = [
        at
        for at in range(at + 1, at + 100)
        if queue.on_departure(at * MILLISECOND, 20 * MILLISECOND, 10**5) is not PASS
    ]
    assert dropped > 3
    assert len(again) > 1  # the first interval after a pause is shorter than 100 ms


def test_codel_marks_instead() -> None:
    queue = codel(mark=True)
    seen = {queue.on_departure(at * MILLISECOND, 10**8, 10**5) for at in range(1, 300)}
    assert seen == {PASS, MARK}


WRONG = {
    "no packet": lambda: Queue(0),
    "no octets": lambda: Queue(1, 0),
    "thresholds the wrong way": lambda: Red(Random(), low=5, high=5),
    "a probability above 1": lambda: Red(Random(), most=2),
    "no target": lambda: CoDel(target=0),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_queue_is_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]  # a table of functions
