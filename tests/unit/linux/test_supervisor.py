"""The supervisor's own memory; `tests/programs` has it at work."""

from __future__ import annotations

from plait.linux.seccomp import Notification
from plait.linux.supervisor import Slots


def put(slot: Notification, call_id: int) -> None:
    slot.pointer.raw = call_id.to_bytes(8, "little").ljust(len(slot.pointer), b"\0")


def test_open_calls_are_those_not_given_back() -> None:
    slots = Slots(4)
    taken = [slots.take() for _ in range(3)]
    for call_id, (_, slot) in enumerate(taken, 1):
        put(slot, call_id)
    slots.give_back(taken[1][0])
    assert sorted(slots.open_calls()) == [1, 3]


def test_calls_beyond_the_slots_are_served_and_not_shared() -> None:
    slots = Slots(1)
    slots.take()
    number, slot = slots.take()
    put(slot, 7)
    assert (number, slots.open_calls()) == (-1, [])
    slots.give_back(number)
    assert slots.take()[0] == -1
