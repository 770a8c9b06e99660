"""Several ports: more subflows between the same two addresses, for networks that spread flows.

Routers with equal-cost paths choose by a hash of addresses and ports, so that each subflow may take
a path of its own (RFC 8684, 3.9.1; RFC 8041, 2.1).
"""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.addresses import IpAddress
from plait.pathing.base import Action, OpenSubflow, View
from plait.pathing.joining import Joiner


@mypyc_attr(allow_interpreted_subclasses=True)
class NDiffPorts(Joiner):
    """Keeps a number of subflows between the addresses of the first one."""

    __slots__ = ("_alike",)

    name: ClassVar[str] = "ndiffports"

    def __init__(self, subflows: int = 4, backup: bool = False) -> None:
        """Have `subflows`, the first one counted; ask the peer to spare the further ones."""
        super().__init__(0, backup)
        self._alike = subflows

    def on_address_advertised(
        self, view: View, address: IpAddress, address_id: int, port: int
    ) -> list[Action]:
        """Leave other addresses alone."""
        return []

    def wanted(self, view: View) -> list[OpenSubflow]:
        """Return joins of the peer's first address, each to be made from another port."""
        first = view.first
        remote = self._remotes.get(0)
        if remote is None or first.local not in view.local:
            return []
        pair = (first.local, first.remote)
        alike = sum((path.local, path.remote) == pair for path in view.paths)
        return [self.join(first.local, remote)] * (self._alike - alike)
