"""Full mesh: the initiator joins every local address to every remote one."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.addresses import IpAddress
from plait.pathing.base import Action, Advertise, OpenSubflow, View
from plait.pathing.joining import Joiner


@mypyc_attr(allow_interpreted_subclasses=True)
class FullMesh(Joiner):
    """Joins all to all; the listener only advertises, since initiators often sit behind NATs."""

    __slots__ = ()

    name: ClassVar[str] = "fullmesh"

    def __init__(self, subflows: int = 0, backup: bool = False) -> None:
        """Have at most `subflows`, 0 for no limit of ours; ask the peer to spare the further ones.

        Raises UsageError.
        """
        super().__init__(subflows, backup)

    def on_established(self, view: View) -> list[Action]:
        """Join from every other local address, or advertise them."""
        if not view.initiator:
            return [Advertise(address) for address in view.local if address != view.first.local]
        return super().on_established(view)

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """Join from a new address, or advertise it; withdraw one that went."""
        if present and not view.initiator:
            return [Advertise(address)]
        return super().on_local_address(view, address, present)

    def wanted(self, view: View) -> list[OpenSubflow]:
        """Return the pairs of addresses without a subflow."""
        taken = {(path.local, path.remote, path.remote_port) for path in view.paths}
        return [
            self.join(local, remote)
            for remote in self._remotes.values()
            for local in view.local
            if local.version == remote.address.version
            and (local, remote.address, remote.port) not in taken
        ]
