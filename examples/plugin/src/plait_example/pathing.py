"""First two: a second subflow from the next address of ours, and no third one."""

from __future__ import annotations

from typing import ClassVar

from plait.addresses import IpAddress
from plait.pathing.base import Action, OpenSubflow, PathManager, View, Withdraw


class FirstTwo(PathManager):
    """Joins the peer's first address from one other address of this host."""

    name: ClassVar[str] = "first-two"

    def on_established(self, view: View) -> list[Action]:
        """Open the second subflow, if this host opened the first and the peer lets it."""
        if not view.initiator or not view.join_initial or len(view.paths) > 1:
            return []
        first = view.first
        for local in view.local:
            if local != first.local and local.version == first.remote.version:
                return [OpenSubflow(local, first.remote, first.remote_port, 0)]
        return []

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """Use a new address if there is one subflow only; withdraw one that went."""
        return self.on_established(view) if present else [Withdraw(address)]
