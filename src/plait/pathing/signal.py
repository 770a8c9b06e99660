"""Signal: a host that is reached at several addresses says so, and lets the peer join them."""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.addresses import IpAddress
from plait.pathing.base import Action, Advertise, PathManager, View, Withdraw


@mypyc_attr(allow_interpreted_subclasses=True)
class Signal(PathManager):
    """Advertises every local address and joins nothing, as a server does."""

    __slots__ = ()

    name: ClassVar[str] = "signal"

    def on_established(self, view: View) -> list[Action]:
        """Advertise the addresses that the peer does not know yet."""
        return [Advertise(address) for address in view.local if address != view.first.local]

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """Advertise an address that came; withdraw one that went."""
        return [Advertise(address) if present else Withdraw(address)]
