"""What path managers that join have in common: the peer's addresses, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

from mypy_extensions import mypyc_attr

from plait.addresses import IpAddress, Path
from plait.errors import UsageError
from plait.pathing.base import Action, OpenSubflow, PathManager, View, Withdraw


@dataclass(frozen=True, slots=True)
class Remote:
    """An address and a port of the peer that may be joined."""

    address: IpAddress
    port: int
    address_id: int


@mypyc_attr(allow_interpreted_subclasses=True)
class Joiner(PathManager):
    """Opens as initiator what is missing, whenever something changes; as listener nothing.

    A manager says what it wants by `wanted`.  What was lost is asked for again when it is time.
    """

    __slots__ = ("_backup", "_remotes", "_subflows")

    def __init__(self, subflows: int, backup: bool) -> None:
        """Have at most `subflows`, 0 for no limit of ours; ask the peer to spare the further ones.

        Raises UsageError.
        """
        if subflows < 0:
            raise UsageError(f"subflows: must not be negative: {subflows}")
        self._subflows = subflows
        self._backup = backup
        self._remotes: dict[int, Remote] = {}

    def wanted(self, view: View) -> list[OpenSubflow]:
        """Return the subflows to open, in the order of their worth."""
        raise NotImplementedError

    def on_established(self, view: View) -> list[Action]:
        """Join the peer's first address, if it lets us."""
        if view.initiator and view.join_initial:
            self._remotes[0] = Remote(view.first.remote, view.first.remote_port, 0)
        return self._missing(view)

    def on_address_advertised(
        self, view: View, address: IpAddress, address_id: int, port: int
    ) -> list[Action]:
        """Join the new address."""
        self._remotes[address_id] = Remote(address, port or view.first.remote_port, address_id)
        return self._missing(view)

    def on_address_removed(self, view: View, address_id: int) -> list[Action]:
        """Join it no more."""
        self._remotes.pop(address_id, None)
        return []

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """Use a new address as the first ones; withdraw one that went."""
        return self._missing(view) if present else [Withdraw(address)]

    def on_retry(self, view: View, path: Path) -> list[Action]:
        """Open it again if it is still missing, and what else it made room for."""
        return self._missing(view)

    def join(self, local: IpAddress, remote: Remote) -> OpenSubflow:
        """Return the action that joins an address from one of ours."""
        return OpenSubflow(local, remote.address, remote.port, remote.address_id, self._backup)

    def _missing(self, view: View) -> list[Action]:
        """Return the joins that the limit has room for."""
        if not view.initiator:
            return []
        wanted = self.wanted(view)
        return [*(wanted[: max(self._subflows - len(view.paths), 0)] if self._subflows else wanted)]
