"""Path management as `ip mptcp endpoint` and `ip mptcp limits` steer it on Linux.

The endpoints belong to one run: its connections find them through a path manager that is known, by
a name of its own, for as long as the run lasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import ClassVar, Final

from plait.addresses import IpAddress
from plait.pathing import path_managers
from plait.pathing.base import Action, Advertise, OpenSubflow, PathManager, View, Withdraw
from plait.script.errors import UnsupportedError

_FLAGS: Final = frozenset({"signal", "subflow", "backup"})
_RUNS: Final = count(1)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A local address and what it is for."""

    endpoint_id: int
    address: IpAddress
    flags: frozenset[str]
    port: int = 0


class Plan:
    """The endpoints and limits of one run."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Of the path manager that follows the plan."""

        self.endpoints: list[Endpoint] = []
        self.leaving: IpAddress | None = None
        """The address of an endpoint that is deleted at this moment."""

        self.accepted = 0
        """Addresses of the peer that a connection joins."""

    def add(self, address: IpAddress, words: list[str]) -> None:
        """Add an endpoint as `ip mptcp endpoint add ADDRESS WORDS` does."""
        if "fullmesh" in words:
            raise UnsupportedError("endpoint flag fullmesh on plait's stack")
        pairs = dict(pairwise(words))
        endpoint_id = int(pairs.get("id", len(self.endpoints) + 1))
        if endpoint_id != len(self.endpoints) + 1:
            raise UnsupportedError("endpoint ids other than 1, 2, ... on plait's stack")
        flags = frozenset(words) & _FLAGS
        self.endpoints.append(Endpoint(endpoint_id, address, flags, int(pairs.get("port", 0))))

    def find(self, endpoint_id: int) -> Endpoint:
        """Return an endpoint by its id."""
        for endpoint in self.endpoints:
            if endpoint.endpoint_id == endpoint_id:
                return endpoint
        raise UnsupportedError(f"endpoint {endpoint_id}, which does not exist")

    def change(self, endpoint: Endpoint, *, backup: bool) -> None:
        """Set or clear the backup flag of an endpoint."""
        flags = endpoint.flags | {"backup"} if backup else endpoint.flags - {"backup"}
        at = self.endpoints.index(endpoint)
        self.endpoints[at] = replace(endpoint, flags=flags)


@contextmanager
def planned() -> Iterator[Plan]:
    """Return the plan of a new run, whose path manager is known meanwhile."""
    plan = Plan(f"endpoints of run {next(_RUNS)}")

    class Bound(Endpoints):
        """Follows this run's plan."""

        name: ClassVar[str] = plan.name

        def __init__(self) -> None:
            super().__init__(plan)

    path_managers.add(plan.name, Bound)
    try:
        yield plan
    finally:
        path_managers.remove(plan.name)


class Endpoints(PathManager):
    """Advertises and joins as a plan says."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._joined = 0

    def on_established(self, view: View) -> list[Action]:
        """Advertise the endpoints to signal, and join from the others."""
        return [action for endpoint in self._plan.endpoints for action in _use(view, endpoint)]

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """Use a new endpoint's address, or give up that of a deleted one."""
        if not present:
            return []
        if address == self._plan.leaving:
            return [Withdraw(address)]
        return [
            action
            for endpoint in self._plan.endpoints
            if endpoint.address == address
            for action in _use(view, endpoint)
        ]

    def on_address_advertised(
        self, view: View, address: IpAddress, address_id: int, port: int
    ) -> list[Action]:
        """Join the peer's address while the limit lets us."""
        first = view.first
        joined = [(path.remote, path.remote_port) for path in view.paths]
        if self._joined >= self._plan.accepted or (address, port or first.remote_port) in joined:
            return []
        self._joined += 1
        return [OpenSubflow(first.local, address, port or first.remote_port, address_id)]


def _use(view: View, endpoint: Endpoint) -> list[Action]:
    """Return what a connection does about an endpoint."""
    first = view.first
    if endpoint.address == first.local:
        return []
    if "signal" in endpoint.flags:
        return [Advertise(endpoint.address, endpoint.port)]
    if not view.initiator or not view.join_initial:
        return []
    if endpoint.address.version != first.local.version:
        return []
    backup = "backup" in endpoint.flags
    return [OpenSubflow(endpoint.address, first.remote, first.remote_port, 0, backup)]
