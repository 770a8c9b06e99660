"""Changing the policies of a connection in the middle of a transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import cycle, product
from random import Random

import pytest
from support.world import World, pass_on

from plait.congestion import controllers
from plait.congestion.coupling import Coupled
from plait.host.events import SubflowUp
from plait.host.intents import INTENTS, intent_settings
from plait.host.settings import Settings
from plait.pathing import path_managers
from plait.scheduling import schedulers
from plait.units import MILLISECOND, SECOND, Nanos
from plait.wire.segment import Segment

OCTETS = 1_000_192
STEP = 10 * MILLISECOND


def losing(draw: Random) -> Callable[[Nanos, Segment], Iterable[tuple[Nanos, Segment]]]:
    """Return a hook that loses one segment in thirty."""

    def hook(now: Nanos, segment: Segment) -> Iterator[tuple[Nanos, Segment]]:
        if not segment.length or draw.random() > 1 / 30:
            yield from pass_on(now, segment)

    return hook


def transfer(settings: Iterator[Settings], *, lossy: bool) -> World:
    """Move octets while the initiator's settings change again and again."""
    world = World(next(settings), whole=False)
    content = bytes(range(256)) * (OCTETS // 256)
    world.initiator.to_send = content
    if lossy:
        for number, end in enumerate(world.ends):
            end.line.hook = losing(Random(number))
    world.connect()
    world.run(60 * MILLISECOND)
    changes = 0
    for chosen in settings:
        if not world.initiator.open or world.initiator.connection.sender.fin_acked:
            break
        world.initiator.host.change(world.now, world.initiator.connection_id, chosen)
        world.run(STEP)
        changes += 1
    assert changes >= 3
    world.run(300 * SECOND)
    assert bytes(world.listener.received) == content
    assert all(end.empty for end in world.ends)
    return world


@pytest.mark.parametrize("lossy", [False, True])
def test_schedulers_take_over_in_mid_transfer_and_nothing_is_lost(lossy: bool) -> None:
    transfer((Settings(scheduler=name) for name in cycle(schedulers.names())), lossy=lossy)


@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize(
    ("one", "other"), list(product(["cubic", "lia", "bbr"], ["olia", "bbr", "reno"]))
)
def test_controllers_take_over_in_mid_transfer_and_nothing_is_lost(
    one: str, other: str, lossy: bool
) -> None:
    settings = (Settings(congestion=name) for name in cycle([one, other]))
    transfer(settings, lossy=lossy)


def test_a_new_controller_starts_with_the_window_of_the_old() -> None:
    world = World(Settings(congestion="reno"))
    world.start()
    connection = world.initiator.connection
    for number, subflow in enumerate(connection.subflows):
        old = subflow.tcp.sender.controller
        old.cwnd, old.ssthresh = 33_000 + number, 22_000
    settings = replace(world.initiator.host.settings, congestion="lia")
    world.initiator.host.change(world.now, world.initiator.connection_id, settings)
    new = [subflow.tcp.sender.controller for subflow in connection.subflows]
    assert [(one.name, one.cwnd, one.ssthresh) for one in new] == [
        ("lia", 33_000, 22_000),
        ("lia", 33_001, 22_000),
    ]


@pytest.mark.parametrize("name", controllers.names())
def test_the_coupled_know_each_other_and_no_one_else(name: str) -> None:
    world = World(Settings(congestion="reno"))
    world.start()
    settings = replace(world.initiator.host.settings, congestion=name)
    world.initiator.host.change(world.now, world.initiator.connection_id, settings)
    members = [subflow.tcp.sender.controller for subflow in world.initiator.connection.subflows]
    for one in members:
        if isinstance(one, Coupled):
            assert one.group == members
    back = replace(settings, congestion="cubic")
    world.initiator.host.change(world.now, world.initiator.connection_id, back)
    for one in members:
        if isinstance(one, Coupled):
            assert one.group == [one]


@pytest.mark.parametrize("lossy", [False, True])
def test_path_managers_take_over_in_mid_transfer_and_nothing_is_lost(lossy: bool) -> None:
    settings = (Settings(path_manager=name) for name in cycle(path_managers.names()))
    transfer(settings, lossy=lossy)


@pytest.mark.parametrize("lossy", [False, True])
def test_intents_take_over_in_mid_transfer_and_nothing_is_lost(lossy: bool) -> None:
    transfer((intent_settings(name) for name in cycle(INTENTS)), lossy=lossy)


def test_a_new_path_manager_hears_of_the_connection() -> None:
    world = World(Settings(path_manager="default"))
    world.start(subflows=1)
    meshed = Settings(path_manager="fullmesh")
    world.initiator.host.change(world.now, world.initiator.connection_id, meshed)
    world.run(SECOND)
    assert len(world.initiator.heard(SubflowUp)) == 2


@pytest.mark.parametrize("name", ["fullmesh", "interfaces"])
def test_a_new_path_manager_hears_of_what_the_peer_advertised_and_where(name: str) -> None:
    far = (ip_address("10.0.1.2"), ip_address("2001:db8::2"))
    near = (ip_address("10.0.1.1"), ip_address("2001:db8::1"))
    server = Settings(path_manager="default", advertise="[2001:db8::2]:8080")
    world = World(Settings(path_manager="default"), server, near=near, far=far)
    world.listener.host.listen(0, 8080)
    world.start(subflows=1)
    chosen = Settings(path_manager=name)
    world.initiator.host.change(world.now, world.initiator.connection_id, chosen)
    world.run(SECOND)
    (joined,) = world.initiator.heard(SubflowUp)[1:]
    assert (joined.path.remote, joined.path.remote_port) == (far[1], 8080)


def test_several_ports_in_the_place_of_none() -> None:
    world = World(Settings(path_manager="default"))
    world.start(subflows=1)
    chosen = Settings(path_manager="ndiffports:subflows=3")
    world.initiator.host.change(world.now, world.initiator.connection_id, chosen)
    world.run(SECOND)
    assert len(world.initiator.heard(SubflowUp)) == 3


def test_a_listener_can_begin_to_signal() -> None:
    world = World(
        Settings(path_manager="fullmesh"),
        Settings(path_manager="default"),
        near=(ip_address("10.0.1.1"),),
        far=(ip_address("10.0.1.2"), ip_address("10.0.2.2")),
    )
    world.start(subflows=1)
    chosen = Settings(path_manager="signal")
    world.listener.host.change(world.now, world.listener.connection_id, chosen)
    world.run(SECOND)
    assert len(world.initiator.heard(SubflowUp)) == 2
