"""Endpoints of a run, and what connections make of them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.addresses import Path
from plait.pathing import path_managers
from plait.pathing.base import Action, Advertise, OpenSubflow, View, Withdraw
from plait.script.errors import UnsupportedError
from plait.script.stack_paths import Endpoints, Plan, planned

LOCAL, OTHER = ip_address("192.168.0.1"), ip_address("192.168.7.1")
REMOTE = ip_address("192.0.2.1")
FIRST = Path(LOCAL, 8080, REMOTE, 40001)


def view(*, initiator: bool = True, join_initial: bool = True) -> View:
    return View(initiator, FIRST, (FIRST,), (LOCAL, OTHER), join_initial)


def plan(*words: str) -> Plan:
    """Return a plan with one endpoint at the other address."""
    made = Plan("test")
    made.add(OTHER, list(words))
    return made


JOIN = OpenSubflow(OTHER, REMOTE, 40001, 0)
USES: dict[str, tuple[str, View, list[Action]]] = {
    "joins": ("subflow", view(), [JOIN]),
    "joins as a backup": (
        "subflow backup",
        view(),
        [OpenSubflow(OTHER, REMOTE, 40001, 0, backup=True)],
    ),
    "flag C": ("subflow", view(join_initial=False), []),
    "listener": ("subflow", view(initiator=False), []),
    "advertises": ("signal", view(initiator=False), [Advertise(OTHER)]),
    "advertises a port": ("port 9090 signal", view(), [Advertise(OTHER, 9090)]),
}


@pytest.mark.parametrize(("words", "seen", "actions"), USES.values(), ids=USES.keys())
def test_endpoint(words: str, seen: View, actions: list[Action]) -> None:
    manager = Endpoints(plan(*words.split()))
    assert manager.on_established(seen) == actions
    assert manager.on_local_address(seen, OTHER, present=True) == actions
    assert manager.on_local_address(seen, LOCAL, present=True) == []


def test_a_deleted_endpoint_is_withdrawn_once_its_address_is_named() -> None:
    made = plan("subflow")
    made.leaving = OTHER
    manager = Endpoints(made)
    assert manager.on_local_address(view(), OTHER, present=True) == [Withdraw(OTHER)]
    assert manager.on_local_address(view(), OTHER, present=False) == []


def test_addresses_of_the_peer_are_joined_once_and_within_the_limit() -> None:
    made = Plan("test")
    manager = Endpoints(made)
    assert manager.on_address_advertised(view(), REMOTE + 1, 2, 0) == []
    made.accepted = 1
    assert manager.on_address_advertised(view(), REMOTE, 2, 0) == []
    assert manager.on_address_advertised(view(), REMOTE + 1, 2, 0) == [
        OpenSubflow(LOCAL, REMOTE + 1, 40001, 2)
    ]
    assert manager.on_address_advertised(view(), REMOTE + 2, 3, 0) == []


def test_a_change_keeps_the_rest_of_an_endpoint() -> None:
    made = plan("subflow", "id", "1")
    made.change(made.find(1), backup=True)
    assert made.find(1).flags == {"subflow", "backup"}
    made.change(made.find(1), backup=False)
    assert made.find(1).flags == {"subflow"}


@pytest.mark.parametrize("words", ["subflow fullmesh", "subflow id 7"])
def test_endpoints_that_are_not_supported(words: str) -> None:
    with pytest.raises(UnsupportedError):
        plan(*words.split())
    with pytest.raises(UnsupportedError):
        plan("signal").find(2)


def test_nothing_stays_behind_a_run() -> None:
    before = path_managers.names()
    with planned() as one, planned() as other:
        assert one.name != other.name
        one.add(OTHER, ["signal"])
        made = path_managers.find(one.name)()
        assert made.on_established(view()) == [Advertise(OTHER)]
        assert path_managers.find(other.name)().on_established(view()) == []
    assert path_managers.names() == before
