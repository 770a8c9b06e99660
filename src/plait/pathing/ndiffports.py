"""Several ports: more subflows between the same two addresses, for networks that spread flows.

Routers with equal-cost paths choose by a hash of addresses and ports, so that each subflow may take
a path of its own (RFC 8684, 3.9.1; RFC 8041, 2.1).
"""

from __future__ import annotations

from typing import ClassVar, Final

from plait.addresses import IpAddress, Path
from plait.pathing.base import Action, OpenSubflow, PathManager, View, Withdraw

SUBFLOWS: Final = 4
"""Subflows to have, the first one counted."""


class NDiffPorts(PathManager):
    """Keeps a number of subflows between the addresses of the first one."""

    name: ClassVar[str] = "ndiffports"

    def on_established(self, view: View) -> list[Action]:
        """Join the peer's first address as often as is missing, each time from another port."""
        return self._fill(view)

    def on_subflow_closed(self, view: View, path: Path, transient: bool) -> list[Action]:
        """Replace a subflow that ended, unless the peer says that it is of no use to try again."""
        return self._fill(view) if transient else []

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """Withdraw an address that went."""
        return [] if present else [Withdraw(address)]

    @staticmethod
    def _fill(view: View) -> list[Action]:
        first = view.first
        if not view.initiator or not view.join_initial or first.local not in view.local:
            return []
        pair = (first.local, first.remote)
        alike = sum((path.local, path.remote) == pair for path in view.paths)
        join = OpenSubflow(first.local, first.remote, first.remote_port, 0)
        return [join] * (SUBFLOWS - alike)
