"""Path managers: facts in, actions out."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.addresses import IpAddress, Path
from plait.errors import UsageError
from plait.pathing import (
    Action,
    Advertise,
    Default,
    FullMesh,
    Interfaces,
    NDiffPorts,
    OpenSubflow,
    Signal,
    View,
    Withdraw,
    path_managers,
)

A1, A2, A6 = (ip_address(text) for text in ("10.0.1.1", "10.0.2.1", "2001:db8::1"))
B1, B2, B6 = (ip_address(text) for text in ("10.0.1.2", "10.0.2.2", "2001:db8::2"))
FIRST = Path(A1, 40000, B1, 80)


def view(
    *,
    initiator: bool = True,
    local: tuple[IpAddress, ...] = (A1, A2),
    paths: tuple[Path, ...] = (FIRST,),
    join_initial: bool = True,
) -> View:
    return View(initiator, FIRST, paths, local, join_initial)


MESHES: dict[str, tuple[View, list[Action]]] = {
    "one address": (view(local=(A1,)), []),
    "two addresses": (view(), [OpenSubflow(A2, B1, 80, 0)]),
    "of another family": (view(local=(A1, A6)), []),
    "already open": (view(paths=(FIRST, Path(A2, 40000, B1, 80))), []),
    "listener": (view(initiator=False), [Advertise(A2)]),
}


@pytest.mark.rfc("8684", "3.9.1", "M8684-3.9.1-01")
@pytest.mark.parametrize(("seen", "actions"), MESHES.values(), ids=MESHES.keys())
def test_full_mesh_once_established(seen: View, actions: list[Action]) -> None:
    assert FullMesh().on_established(seen) == actions


@pytest.mark.rfc("8684", "3.1", "M8684-3.1-27")
def test_full_mesh_spares_an_address_that_takes_no_joins() -> None:
    manager = FullMesh()
    seen = view(join_initial=False)
    assert manager.on_established(seen) == []
    assert manager.on_address_advertised(seen, B2, 3, 0) == [
        OpenSubflow(A1, B2, 80, 3),
        OpenSubflow(A2, B2, 80, 3),
    ]


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-08")
@pytest.mark.parametrize(("port", "used"), [(0, 80), (8080, 8080)])
def test_full_mesh_joins_what_is_advertised_at_its_port(port: int, used: int) -> None:
    manager = FullMesh()
    seen = view(local=(A1,))
    assert manager.on_address_advertised(seen, B2, 3, port) == [OpenSubflow(A1, B2, used, 3)]


@pytest.mark.rfc("8684", "3.4", "M8684-3.4-03")
def test_full_mesh_joins_the_other_family_when_it_is_advertised() -> None:
    manager = FullMesh()
    seen = view(local=(A1, A6))
    assert manager.on_address_advertised(seen, B6, 3, 0) == [OpenSubflow(A6, B6, 80, 3)]


def test_full_mesh_of_a_listener_does_not_join() -> None:
    manager = FullMesh()
    assert manager.on_address_advertised(view(initiator=False), B2, 3, 0) == []


def test_full_mesh_forgets_what_is_withdrawn() -> None:
    manager = FullMesh()
    seen = view(local=(A1,))
    manager.on_address_advertised(seen, B2, 3, 0)
    manager.on_address_removed(seen, 3)
    assert manager.on_local_address(view(local=(A1, A2)), A2, present=True) == []


@pytest.mark.parametrize(
    ("initiator", "action"), [(True, OpenSubflow(A2, B1, 80, 0)), (False, Advertise(A2))]
)
def test_full_mesh_uses_an_address_that_comes_later(initiator: bool, action: Action) -> None:
    manager = FullMesh()
    manager.on_established(view(initiator=initiator, local=(A1,)))
    assert manager.on_local_address(view(initiator=initiator), A2, present=True) == [action]


@pytest.mark.rfc("8684", "3.4.2", "M8684-3.4.2-01")
@pytest.mark.parametrize("name", ["fullmesh", "default"])
def test_an_address_that_went_is_withdrawn(name: str) -> None:
    manager = path_managers.find(name)()
    assert manager.on_local_address(view(local=(A1,)), A2, present=False) == [Withdraw(A2)]


def test_default_is_passive() -> None:
    manager = Default()
    seen = view()
    assert manager.on_established(seen) == []
    assert manager.on_address_advertised(seen, B2, 3, 0) == []
    assert manager.on_address_removed(seen, 3) == []
    assert manager.on_local_address(seen, A2, present=True) == []
    assert manager.on_subflow_closed(seen, FIRST, transient=True) == []


JOIN = OpenSubflow(A1, B1, 80, 0)
SECOND = Path(A1, 40001, B1, 80)

PORTS: dict[str, tuple[View, list[Action]]] = {
    "one subflow": (view(), [JOIN, JOIN, JOIN]),
    "two of them": (view(paths=(FIRST, SECOND)), [JOIN, JOIN]),
    "one elsewhere": (view(paths=(FIRST, Path(A2, 40000, B1, 80))), [JOIN, JOIN, JOIN]),
    "enough": (view(paths=(FIRST, SECOND, SECOND, SECOND)), []),
    "listener": (view(initiator=False), []),
    "no joins to the first address": (view(join_initial=False), []),
    "the first address went": (view(local=(A2,)), []),
}


@pytest.mark.rfc("8684", "3.9.1", "M8684-3.9.1-03")
@pytest.mark.parametrize(("seen", "actions"), PORTS.values(), ids=PORTS.keys())
def test_several_ports_once_established(seen: View, actions: list[Action]) -> None:
    assert NDiffPorts().on_established(seen) == actions


@pytest.mark.parametrize("name", ["fullmesh", "interfaces", "ndiffports"])
def test_what_was_lost_is_made_again_when_it_is_time(name: str) -> None:
    manager = path_managers.make(name)
    opened = manager.on_established(view())
    assert opened
    assert manager.on_subflow_closed(view(), SECOND, transient=True) == []
    assert manager.on_retry(view(), SECOND) == opened


def test_several_ports_withdraws_an_address_that_went() -> None:
    assert NDiffPorts().on_local_address(view(), A1, present=False) == [Withdraw(A1)]
    assert NDiffPorts().on_local_address(view(), A2, present=True) == []


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-16")
@pytest.mark.rfc("8684", "3.9.3", "M8684-3.9.3-03")
def test_full_mesh_does_not_try_again_where_it_failed_unless_it_is_advertised_again() -> None:
    mesh = FullMesh()
    mesh.on_established(view(local=(A1,)))
    (join,) = mesh.on_address_advertised(view(local=(A1,)), B2, 2, 0)
    assert isinstance(join, OpenSubflow)
    failed = Path(join.local, 40000, join.remote, join.remote_port)
    assert mesh.on_subflow_closed(view(local=(A1,)), failed, transient=False) == []
    assert mesh.on_address_advertised(view(local=(A1,)), B2, 2, 0) == [join]


@pytest.mark.rfc("8684", "3.4.1", "M8684-3.4.1-18")
def test_full_mesh_joins_a_new_port_of_a_known_address() -> None:
    mesh = FullMesh()
    opened = view(local=(A1,), paths=(FIRST, Path(A1, 40000, B2, 80)))
    mesh.on_established(opened)
    mesh.on_address_advertised(opened, B2, 2, 0)
    assert mesh.on_address_advertised(opened, B2, 2, 8080) == [OpenSubflow(A1, B2, 8080, 2)]


FACES: dict[str, tuple[View, list[Action]]] = {
    "one address": (view(local=(A1,)), []),
    "two addresses": (view(), [OpenSubflow(A2, B1, 80, 0)]),
    "of another family": (view(local=(A1, A6)), []),
    "used already": (view(paths=(FIRST, Path(A2, 40000, B2, 80))), []),
    "no joins to the first address": (view(join_initial=False), []),
    "listener": (view(initiator=False), []),
}


@pytest.mark.parametrize(("seen", "actions"), FACES.values(), ids=FACES.keys())
def test_interfaces_once_established(seen: View, actions: list[Action]) -> None:
    assert Interfaces().on_established(seen) == actions


def test_interfaces_join_the_first_address_of_their_family() -> None:
    manager = Interfaces()
    seen = view(local=(A1, A6))
    manager.on_established(seen)
    assert manager.on_address_advertised(seen, B2, 2, 0) == []
    assert manager.on_address_advertised(seen, B6, 3, 8080) == [OpenSubflow(A6, B6, 8080, 3)]
    manager.on_address_removed(seen, 3)
    assert manager.on_retry(seen, FIRST) == []


@pytest.mark.parametrize("initiator", [True, False])
def test_signal_advertises_and_joins_nothing(initiator: bool) -> None:
    manager = Signal()
    seen = view(initiator=initiator)
    assert manager.on_established(seen) == [Advertise(A2)]
    assert manager.on_address_advertised(seen, B2, 2, 0) == []
    assert manager.on_local_address(seen, A6, present=True) == [Advertise(A6)]
    assert manager.on_local_address(seen, A6, present=False) == [Withdraw(A6)]
    assert manager.on_retry(seen, FIRST) == []


LIMITS: dict[str, tuple[str, int]] = {
    "none": ("fullmesh", 5),
    "three": ("fullmesh:subflows=3", 2),
    "one": ("fullmesh:subflows=1", 0),
    "interfaces": ("interfaces:subflows=2", 1),
    "several ports": ("ndiffports:subflows=6", 5),
}


@pytest.mark.parametrize(("text", "joins"), LIMITS.values(), ids=LIMITS.keys())
def test_limits(text: str, joins: int) -> None:
    manager = path_managers.make(text)
    local = (A1, *(ip_address(f"10.0.{number}.1") for number in range(2, 7)))
    assert len(manager.on_established(view(local=local))) == joins


@pytest.mark.parametrize("name", ["fullmesh", "interfaces", "ndiffports"])
def test_further_subflows_can_be_backups(name: str) -> None:
    actions = path_managers.make(f"{name}:backup=yes").on_established(view())
    assert actions
    assert all(isinstance(one, OpenSubflow) and one.backup for one in actions)


@pytest.mark.parametrize("text", ["fullmesh:subflows=-1", "ndiffports:x=1", "signal:subflows=1"])
def test_arguments_that_make_no_sense_are_the_callers_fault(text: str) -> None:
    with pytest.raises(UsageError):
        path_managers.make(text)
