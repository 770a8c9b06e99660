"""Plug-ins that raise or make no sense: the policy changes, the stream goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest
from support.world import World

from plait.addresses import IpAddress
from plait.congestion import AckSample, CongestionController, RateSample, controllers
from plait.congestion.bbr import Bbr
from plait.congestion.lia import Lia
from plait.congestion.reno import Reno
from plait.host.events import PolicyFailed, SubflowUp
from plait.host.settings import Settings
from plait.pathing import Action, Advertise, FullMesh, OpenSubflow, View, path_managers
from plait.scheduling import Grant, LowestRtt, Scheduler, SubflowView, schedulers
from plait.units import Nanos, Octets

CONTENT = bytes(range(256)) * 2000


class Odd(Scheduler):
    """Does well for a while, then as it is told."""

    def __init__(self) -> None:
        self._asked = 0
        self._sane = LowestRtt()

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        self._asked += 1
        if self._asked < 5:
            return self._sane.schedule(now, start, stop, edge, subflows)
        return self.answer(start, stop, subflows)

    answer: Callable[[Octets, Octets, Sequence[SubflowView]], list[Grant]]


def raises(*_: object) -> list[Grant]:
    raise KeyError("no such thing")


ANSWERS: dict[str, Callable[[Octets, Octets, Sequence[SubflowView]], object]] = {
    "it raises": raises,
    "an unknown subflow": lambda start, _, __: [Grant(99, start, start + 1)],
    "beyond the stream": lambda start, stop, views: [Grant(views[0].index, start, stop + 1)],
    "beyond the room": lambda start, _, views: [
        Grant(view.index, start, start + view.room + 1) for view in views
    ],
    "the room twice": lambda start, _, views: [
        Grant(view.index, start, start + view.room) for view in views if view.room for _ in "12"
    ],
    "not at the start": lambda start, stop, views: [Grant(views[0].index, start + 1, stop)],
    "with a gap": lambda start, _, views: [
        Grant(views[0].index, start, start + 1),
        Grant(views[0].index, start + 2, start + 3),
    ],
    "nothing at all": lambda start, _, views: [Grant(views[0].index, start, start)],
    "backwards": lambda start, _, views: [Grant(views[0].index, start, start - 1)],
    "no octets": lambda start, _, views: [Grant(views[0].index, start, start + 0.5)],  # type: ignore[arg-type]
    "no grants": lambda *_: ["grant"],
    "no list": lambda *_: 7,
    "it waits for ever": lambda *_: [],
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_scheduler_that_fails_is_replaced_and_nothing_is_lost(
    answer: Callable[..., list[Grant]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type("Failing", (Odd,), {"answer": staticmethod(answer)})
    monkeypatch.setitem(schedulers._known, "failing", kind)
    world = World(Settings(scheduler="failing"), Settings())
    world.transfer(CONTENT)
    (event,) = world.initiator.heard(PolicyFailed)
    assert (event.kind, event.name) == ("scheduler", "failing")
    assert event.text


def test_a_scheduler_may_wait_while_something_is_in_flight() -> None:
    world = World(Settings(scheduler="smallest-delay"))
    world.transfer(CONTENT)
    assert world.initiator.heard(PolicyFailed) == []


class Raising(Reno):
    """Raises after some acknowledgments."""

    name: ClassVar[str] = "raising"

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        self.heard = 0

    def on_ack(self, sample: AckSample) -> None:
        super().on_ack(sample)
        self.heard += 1
        if self.heard > 3:
            self.fail()

    def fail(self) -> None:
        raise ZeroDivisionError


class Tiny(Raising):
    """Closes its window."""

    def fail(self) -> None:
        self.cwnd = self.mss - 1


class Fraction(Raising):
    """Counts in fractions."""

    def fail(self) -> None:
        self.cwnd += 0.5  # type: ignore[assignment]


class Rate(Bbr):
    """Samples the rate, and raises."""

    def on_rate(self, sample: RateSample) -> None:
        super().on_rate(sample)
        if sample.total_delivered > 100_000:
            raise ValueError("too fast")


@pytest.mark.parametrize("kind", [Raising, Tiny, Fraction, Rate])
def test_a_controller_that_fails_is_replaced_and_nothing_is_lost(
    kind: type[CongestionController], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(controllers._known, "failing", kind)
    world = World(Settings(congestion="failing"), Settings())
    world.transfer(CONTENT)
    (event,) = world.initiator.heard(PolicyFailed)
    assert (event.kind, event.name) == ("congestion control", "failing")


class Late(Reno):
    """Cannot be made once it was checked and two subflows have it."""

    made = 0

    def __init__(self, mss: Octets) -> None:
        super().__init__(mss)
        Late.made += 1
        if Late.made > 2:
            raise MemoryError


def test_a_controller_that_cannot_be_made_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Late, "made", 0)
    monkeypatch.setitem(controllers._known, "late", Late)
    world = World(Settings(congestion="late"), Settings())
    world.start()
    names = [one.tcp.sender.controller.name for one in world.initiator.connection.subflows]
    assert names[1] == "cubic"
    assert len(world.initiator.heard(PolicyFailed)) == 1


class OwnLia(Lia):
    """A coupled controller of a program."""


def test_guarded_controllers_are_coupled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(controllers._known, "own", OwnLia)
    world = World(Settings(congestion="own"), Settings())
    world.initiator.to_send = CONTENT
    world.start()
    fences = [one.tcp.sender.controller for one in world.initiator.connection.subflows]
    inner = [one.inner for one in fences]  # type: ignore[attr-defined]
    assert inner[0].group == inner
    assert [one.cwnd for one in fences] == [one.cwnd for one in inner]
    assert world.initiator.heard(PolicyFailed) == []


class Lost(FullMesh):
    """Answers established connections as it is told."""

    answer: Callable[[View], list[Action]]

    def on_established(self, view: View) -> list[Action]:
        return self.answer(view)


def no_view(_: View) -> list[Action]:
    raise AttributeError("view")


def other_family(view: View) -> list[Action]:
    remote: IpAddress = next(iter(()), view.first.remote)
    return [OpenSubflow(view.local[0], remote, 70_000, 0)]


MEANT: dict[str, Callable[[View], object]] = {
    "it raises": no_view,
    "no action": lambda _: ["join"],
    "nothing": lambda _: None,
    "an impossible port": other_family,
}


@pytest.mark.parametrize("answer", MEANT.values(), ids=MEANT.keys())
def test_a_path_manager_that_fails_is_replaced_and_nothing_is_lost(
    answer: Callable[[View], list[Action]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type("Failing", (Lost,), {"answer": staticmethod(answer)})
    monkeypatch.setitem(path_managers._known, "failing", kind)
    world = World(Settings(path_manager="failing"), Settings())
    world.transfer(CONTENT)
    (event,) = world.initiator.heard(PolicyFailed)
    assert (event.kind, event.name) == ("path manager", "failing")
    assert len(world.initiator.heard(SubflowUp)) == 1


def test_an_action_of_every_kind_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type("Fine", (Lost,), {"answer": staticmethod(lambda view: [Advertise(view.local[0])])})
    monkeypatch.setitem(path_managers._known, "fine", kind)
    world = World(Settings(path_manager="fine"), Settings())
    world.transfer(CONTENT)
    assert world.initiator.heard(PolicyFailed) == []
