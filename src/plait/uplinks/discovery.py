"""Finding uplinks: interfaces, and the gateways of theirs that lead everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import zip_longest
from typing import Final

from plait.addresses import IpAddress
from plait.drivers.kernel_view import IpNetwork, KernelView, Link, Route
from plait.drivers.tun_spec import MIN_MTU_V6
from plait.errors import UsageError

FORM: Final = "IF[,gateway=G[+G]]"
_VERSIONS: Final = (4, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How packets of one version of IP leave by an uplink."""

    version: int
    gateway: IpAddress | None
    """None on a point-to-point link."""

    onlink: bool
    """The gateway need not be in a network of the interface."""

    networks: tuple[IpNetwork, ...]
    """What is reached without the gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """One interface with one gateway for each version of IP that it carries."""

    link: Link
    ways: tuple[Way, ...]

    def __str__(self) -> str:
        """Return the interface and where its packets go."""
        hops = ["on the link" if way.gateway is None else f"by {way.gateway}" for way in self.ways]
        return f"{self.link.name} {' and '.join(hops)}"


def find_uplinks(view: KernelView, wanted: Sequence[str]) -> list[Uplink]:
    """Return the uplinks that are named, or all that default routes lead to.

    Raises UsageError where there is none, or one cannot be used.
    """
    if wanted:
        return list(dict.fromkeys(uplink for text in wanted for uplink in _named(view, text)))
    names = {link.index: link for link in view.links}
    defaults = [route for route in view.routes if route.default and route.index in names]
    found = dict.fromkeys(
        route.index for route in defaults if route in view.routes_of(names[route.index])
    )
    uplinks = [uplink for index in found for uplink in _uplinks(view, names[index], ())]
    if not uplinks:
        raise UsageError(
            "there is no default route, hence no uplink: connect the machine to a network, "
            f"or name uplinks as {FORM}"
        )
    return uplinks


def _named(view: KernelView, text: str) -> list[Uplink]:
    """Return the uplinks of one argument."""
    name, *rest = text.split(",")
    gateways: tuple[IpAddress, ...] = ()
    for part in rest:
        key, _, value = part.partition("=")
        if key != "gateway" or gateways:
            raise UsageError(f"bad part {part!r} in uplink {text!r}: write {FORM}")
        try:
            gateways = tuple(ip_address(one) for one in value.split("+"))
        except ValueError:
            raise UsageError(f"bad gateway={value}: it should be an IP address") from None
    link = view.link(name)
    if link is None:
        known = ", ".join(sorted(link.name for link in view.links if link.name != "lo"))
        raise UsageError(f"there is no interface {name!r}: choose from {known or 'none'}")
    return _uplinks(view, link, gateways)


def _uplinks(view: KernelView, link: Link, gateways: Sequence[IpAddress]) -> list[Uplink]:
    """Return an uplink for each gateway of an interface, those of both versions paired."""
    if not link.up:
        raise UsageError(f"uplink {link.name} is down: `ip link set {link.name} up` first")
    routes = view.routes_of(link)
    ways = {
        version: _ways(link, version, routes, [one for one in gateways if one.version == version])
        for version in _VERSIONS
        if not gateways or any(one.version == version for one in gateways)
    }
    if not any(ways.values()):
        raise UsageError(
            f"uplink {link.name} has no default route: name its gateway as "
            f"{link.name},gateway=G, or leave it out"
        )
    return [
        Uplink(link=link, ways=tuple(way for way in pair if way is not None))
        for pair in zip_longest(*ways.values())
    ]


def _ways(
    link: Link, version: int, routes: Sequence[Route], gateways: Sequence[IpAddress]
) -> list[Way]:
    """Return the ways out of one version of IP.  Raises UsageError without an address."""
    alike = [route for route in routes if route.destination.version == version]
    networks = tuple(
        dict.fromkeys(
            route.destination
            for route in alike
            if route.gateway is None and not route.default and not route.destination.is_link_local
        )
    )
    defaults = [
        route
        for route in alike
        if route.default and (route.gateway is None or route.gateway.version == version)
    ]
    hops = (
        dict.fromkeys(gateways, False)
        if gateways
        else {route.gateway: route.onlink for route in defaults}
    )
    if not hops or (version == 6 and link.mtu < MIN_MTU_V6):
        return []
    if not any(address.version == version for address in link.addresses):
        raise UsageError(
            f"uplink {link.name} has no IPv{version} address to send from: give it one, "
            "or name the uplinks to use"
        )
    for gateway in gateways:
        if not any(gateway in network for network in networks):
            raise UsageError(f"gateway={gateway} is in no network of {link.name}")
    return [
        Way(version=version, gateway=gateway, onlink=onlink, networks=networks)
        for gateway, onlink in hops.items()
    ]
