"""Links that go down and come up: the addresses of a driver go and come with its interface.

Netlink tells, on the loop of the stack and without a thread.  A stack learns at once what it would
otherwise find out by time-outs, and path managers act on it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Final

from plait.addresses import IpAddress
from plait.drivers.base import Driver, network_namespace
from plait.linux.netlink import DUMP, ROUTE, Netlink, attributes

_LINK_GROUP: Final = 1
"""RTNLGRP_LINK."""

_NEW_LINK: Final = 16
_DELETED_LINK: Final = 17
_GET_LINK: Final = 18

_LINK: Final = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change mask."""

_UP: Final = 0x1
_RUNNING: Final = 0x40
_NAME: Final = 3
"""IFLA_IFNAME."""


class Monitor:
    """Watches the interfaces of drivers.

    Args:
        drivers: Those of a stack; watched are those with an interface in the network namespace of
            the calling thread.
        on_address: Told of an address that went or came, as `Stack.on_local_address` is.

    Raises:
        OSError: Netlink cannot be opened here.
    """

    def __init__(
        self, drivers: Sequence[Driver], on_address: Callable[[IpAddress, bool], None]
    ) -> None:
        here = network_namespace()
        self._drivers: dict[str, Driver] = {}
        for driver in drivers:
            if driver.interface is not None and driver.interface.namespace == here:
                self._drivers[driver.interface.name] = driver
        self._on_address = on_address
        self._down: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._netlink = Netlink(ROUTE)
        try:
            self._netlink.join(_LINK_GROUP)
        except BaseException:
            self._netlink.close()
            raise
        self._loop.add_reader(self._netlink.fileno(), self._on_readable)

    def close(self) -> None:
        """Watch no more."""
        if self._netlink.fileno() >= 0:
            self._loop.remove_reader(self._netlink.fileno())
            self._netlink.close()

    def _on_readable(self) -> None:
        try:
            for kind, body in self._netlink.heard():
                self._take(kind, body)
        except OSError:  # ENOBUFS: something was left out
            with Netlink(ROUTE) as netlink:
                for body in netlink.request(_GET_LINK, bytes(_LINK.size), DUMP):
                    self._take(_NEW_LINK, body)

    def _take(self, kind: int, body: bytes) -> None:
        """Apply one message about a link."""
        if kind not in {_NEW_LINK, _DELETED_LINK}:
            return
        _, _, _, flags, _ = _LINK.unpack_from(body)
        name = attributes(body[_LINK.size :]).get(_NAME, b"").rstrip(b"\0").decode()
        up = kind == _NEW_LINK and flags & _UP != 0 and flags & _RUNNING != 0
        if name not in self._drivers or up == (name not in self._down):
            return
        (self._down.discard if up else self._down.add)(name)
        for address in self._drivers[name].addresses:
            self._on_address(address, up)
