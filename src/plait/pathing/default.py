"""Default: take what the peer opens, open and advertise nothing."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.addresses import IpAddress
from plait.pathing.base import Action, PathManager, View, Withdraw


@mypyc_attr(allow_interpreted_subclasses=True)
class Default(PathManager):
    """Passive, but honest about addresses that go."""

    __slots__ = ()

    name: ClassVar[str] = "default"

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """Withdraw an address that went."""
        return [] if present else [Withdraw(address)]
