"""What the kernel knows of its interfaces: links, addresses and routes, read once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import (
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any, Final, TypeAlias, TypeVar

from pyroute2 import IPRoute

from plait.addresses import IpAddress
from plait.units import Octets

IpInterface: TypeAlias = IPv4Interface | IPv6Interface
IpNetwork: TypeAlias = IPv4Network | IPv6Network

MAIN_TABLE: Final = 254
"""RT_TABLE_MAIN; linux/rtnetlink.h."""

_UP: Final = 0x1
_ETHERNET: Final = 1
"""ARPHRD_ETHER; linux/if_arp.h."""

_UNICAST: Final = 1
_ONLINK: Final = 4
_GLOBAL: Final = 0
"""RT_SCOPE_UNIVERSE."""

_UNUSABLE: Final = 0x01 | 0x08 | 0x20 | 0x40
"""IFA_F_TEMPORARY, _DADFAILED, _DEPRECATED and _TENTATIVE; linux/if_addr.h."""

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An interface."""

    name: str
    index: int
    mtu: Octets
    mac: bytes
    """Its link-layer address, empty if it has none."""

    ethernet: bool
    up: bool
    addresses: tuple[IpInterface, ...]
    """Of global scope and in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where packets for `destination` go."""

    destination: IpNetwork
    gateway: IpAddress | None
    """None where the destination is on the link."""

    index: int
    """Of the interface, 0 if there is none."""

    table: int
    metric: int
    onlink: bool
    """The gateway need not be in a network of the interface."""

    @property
    def default(self) -> bool:
        """Whether it is for every destination."""
        return self.destination.prefixlen == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelView:
    """One network namespace at one time."""

    links: tuple[Link, ...]
    routes: tuple[Route, ...]
    """Of every table, the preferred ones first."""

    rules: frozenset[int]
    """Tables that rules look up, and the priorities of rules."""

    def link(self, name: str) -> Link | None:
        """Return an interface, None if there is none of the name."""
        return next((link for link in self.links if link.name == name), None)

    def routes_of(self, link: Link) -> list[Route]:
        """Return the routes of the main table that leave by an interface."""
        return [
            route
            for route in self.routes
            if route.table == MAIN_TABLE and route.index == link.index
        ]


def read_kernel() -> KernelView:
    """Return what there is in the calling thread's network namespace."""
    return apart(_read)


def apart(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread of its own, in the caller's network namespace.

    pyroute2 runs an event loop of its own, which a thread with a running loop must not.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def _read() -> KernelView:
    with IPRoute() as netlink:
        addresses: dict[int, list[IpInterface]] = {}
        for entry in netlink.get_addr():
            flags = entry.get_attr("IFA_FLAGS") or entry["flags"]
            if entry["scope"] == _GLOBAL and not flags & _UNUSABLE:
                own = entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
                found = ip_interface(f"{own}/{entry['prefixlen']}")
                addresses.setdefault(entry["index"], []).append(found)
        links = tuple(
            Link(
                name=entry.get_attr("IFLA_IFNAME"),
                index=entry["index"],
                mtu=entry.get_attr("IFLA_MTU"),
                mac=bytes.fromhex((entry.get_attr("IFLA_ADDRESS") or "").replace(":", "")),
                ethernet=entry["ifi_type"] == _ETHERNET,
                up=entry["flags"] & _UP != 0,
                addresses=tuple(addresses.get(entry["index"], ())),
            )
            for entry in netlink.get_links()
        )
        routes = [
            route
            for family in _FAMILIES
            for entry in netlink.get_routes(family=family)
            if entry["type"] == _UNICAST
            for route in _routes(entry)
        ]
        rules = {
            number
            for family in _FAMILIES
            for entry in netlink.get_rules(family=family)
            for number in (entry.get_attr("FRA_TABLE"), entry.get_attr("FRA_PRIORITY"))
            if number is not None
        }
    routes.sort(key=lambda route: route.metric)
    return KernelView(links=links, routes=tuple(routes), rules=frozenset(rules))


def _routes(entry: Any) -> Iterator[Route]:
    """Yield a route for each next hop of an entry of the kernel's."""
    everywhere = "::" if entry["family"] == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 - a prefix
    destination = ip_network(f"{entry.get_attr('RTA_DST') or everywhere}/{entry['dst_len']}")
    for hop in entry.get_attr("RTA_MULTIPATH") or (entry,):
        attributes = dict(hop["attrs"])
        via = attributes.get("RTA_GATEWAY") or (attributes.get("RTA_VIA") or {}).get("addr")
        yield Route(
            destination=destination,
            gateway=None if via is None else ip_address(via),
            index=attributes.get("RTA_OIF") or hop.get("oif", 0),
            table=entry.get_attr("RTA_TABLE") or entry["table"],
            metric=entry.get_attr("RTA_PRIORITY") or 0,
            onlink=hop["flags"] & _ONLINK != 0,
        )
