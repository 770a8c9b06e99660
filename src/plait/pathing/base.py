"""The contract of path management: facts about addresses come in, actions go out.

A manager that takes over in the middle of a connection hears `on_established`, and of each address
that the peer advertised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from mypy_extensions import mypyc_attr

from plait.addresses import IpAddress, Path


@dataclass(frozen=True, slots=True)
class OpenSubflow:
    """Send an MP_JOIN from `local` to `remote`."""

    local: IpAddress
    remote: IpAddress
    remote_port: int
    remote_id: int
    backup: bool = False
    local_port: int = 0
    """0 lets the connection choose: that of its first subflow if it is free."""


@dataclass(frozen=True, slots=True)
class Advertise:
    """Tell the peer of a local address (ADD_ADDR); port 0 means the connection's own."""

    address: IpAddress
    port: int = 0


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Tell the peer that a local address is gone (REMOVE_ADDR) and close its subflows."""

    address: IpAddress


Action: TypeAlias = OpenSubflow | Advertise | Withdraw


@dataclass(frozen=True, slots=True)
class View:
    """What a path manager may know of its connection."""

    initiator: bool
    """This host sent the first SYN."""

    first: Path
    """The path of the first subflow, live or not."""

    paths: tuple[Path, ...]
    """Paths of subflows that are open or opening."""

    local: tuple[IpAddress, ...]
    """Addresses of this host now."""

    join_initial: bool
    """The peer allows joins to its initial address and port (flag C of MP_CAPABLE is clear)."""


@mypyc_attr(allow_interpreted_subclasses=True)
class PathManager:
    """Decides which subflows to open and which addresses to advertise, for one connection."""

    __slots__ = ()

    name: ClassVar[str] = ""

    def on_established(self, view: View) -> list[Action]:
        """Subflows may be opened from now on (RFC 8684, 3.1)."""
        return []

    def on_address_advertised(
        self, view: View, address: IpAddress, address_id: int, port: int
    ) -> list[Action]:
        """The peer advertised an address; `port` is 0 if it named none."""
        return []

    def on_address_removed(self, view: View, address_id: int) -> list[Action]:
        """The peer withdrew an address."""
        return []

    def on_local_address(self, view: View, address: IpAddress, present: bool) -> list[Action]:
        """An address of this host came or went."""
        return []

    def on_subflow_closed(self, view: View, path: Path, transient: bool) -> list[Action]:
        """A subflow ended; `transient` is the T flag of the peer's MP_TCPRST."""
        return []

    def on_retry(self, view: View, path: Path) -> list[Action]:
        """A subflow that was lost on `path` may be made again.

        Called after a back-off that the connection keeps, with an end in sight for paths that fail
        again and again; before that, and for good where the peer refused, what is asked for between
        these two addresses is not done.
        """
        return []


Question: TypeAlias = Callable[[PathManager, View], list[Action]]
"""A call of one hook."""


def advertised(address: IpAddress, address_id: int, port: int) -> Question:
    """Return the question what to do about an address of the peer's."""
    return lambda manager, view: manager.on_address_advertised(view, address, address_id, port)
