"""Interfaces: one subflow for each local address, as a phone has Wi-Fi and mobile data."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.pathing.base import OpenSubflow, View
from plait.pathing.joining import Joiner


@mypyc_attr(allow_interpreted_subclasses=True)
class Interfaces(Joiner):
    """Joins from each local address the first of the peer's that is of its family."""

    __slots__ = ()

    name: ClassVar[str] = "interfaces"

    def __init__(self, subflows: int = 0, backup: bool = False) -> None:
        """Have at most `subflows`, 0 for no limit of ours; ask the peer to spare the further ones.

        Raises UsageError.
        """
        super().__init__(subflows, backup)

    def wanted(self, view: View) -> list[OpenSubflow]:
        """Return a join for each address that carries no subflow."""
        taken = {path.local for path in view.paths}
        joins: list[OpenSubflow] = []
        for local in view.local:
            alike = [one for one in self._remotes.values() if one.address.version == local.version]
            if local not in taken and alike:
                joins.append(self.join(local, alike[0]))
        return joins
