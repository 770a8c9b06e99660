"""Full mesh: the initiator joins every local address to every remote one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plait.addresses import IpAddress
from plait.pathing.base import Action, Advertise, OpenSubflow, PathManager, View, Withdraw


@dataclass(frozen=True, slots=True)
class _Remote:
    address: IpAddress
    port: int
    address_id: int


class FullMesh(PathManager):
    """Joins all to all; the listener only advertises, since initiators often sit behind NATs."""

    name: ClassVar[str] = "fullmesh"

    def __init__(self) -> None:
        self._remotes: dict[int, _Remote] = {}

    def on_established(self, view: View) -> list[Action]:
        """Join from every other local address, or advertise them."""
        if not view.initiator:
            return [Advertise(address) for address in view.local if address != view.first.local]
        if view.join_initial:
            self._remotes[0] = _Remote(view.first.remote, view.first.remote_port, 0)
        return self._mesh(view)

    def on_address_advertised(
        self, view: View, address: IpAddress, address_id: int, port: int
    ) -> list[Action]:
        """Join the new address from every local one."""
        if not view.initiator:
            return []
        self._remotes[address_id] = _Remote(address, port or view.first.remote_port, address_id)
        return self._mesh(view)

    def on_address_removed(self, view: View, address_id: int) -> list[Action]:
        """Join it no more."""
        self._remotes.pop(address_id, None)
        return []

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """Use a new address as the first ones; withdraw one that went."""
        if not present:
            return [Withdraw(address)]
        return self._mesh(view) if view.initiator else [Advertise(address)]

    def _mesh(self, view: View) -> list[Action]:
        """Return the joins that are missing."""
        taken = {(path.local, path.remote, path.remote_port) for path in view.paths}
        return [
            OpenSubflow(local, remote.address, remote.port, remote.address_id)
            for remote in self._remotes.values()
            for local in view.local
            if local.version == remote.address.version
            and (local, remote.address, remote.port) not in taken
        ]
