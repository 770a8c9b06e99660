from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from plait.drivers.kernel_view import KernelView, Link, Route
from plait.errors import UsageError
from plait.uplinks.discovery import find_uplinks

V4, V6 = "0.0.0.0/0", "::/0"


def link(name: str, index: int, *addresses: str) -> Link:
    return Link(
        name=name,
        index=index,
        mtu=1500,
        mac=bytes(6),
        ethernet=True,
        up=True,
        addresses=tuple(map(ip_interface, addresses)),
    )


def route(index: int, destination: str, gateway: str | None = None, metric: int = 0) -> Route:
    return Route(
        destination=ip_network(destination),
        gateway=None if gateway is None else ip_address(gateway),
        index=index,
        table=254,
        metric=metric,
        onlink=False,
    )


WIFI = link("wlan0", 2, "10.1.0.2/24", "fd01::2/64")
LTE = link("wwan0", 3, "10.2.0.2/30")
IDLE = link("eth9", 4, "10.9.0.2/24")
LINKS = (link("lo", 1), WIFI, LTE, IDLE)
ON_LINK = (route(2, "10.1.0.0/24"), route(3, "10.2.0.0/30"), route(2, "fd01::/64"))


def view(*routes: Route, links: tuple[Link, ...] = LINKS) -> KernelView:
    return KernelView(links=links, routes=(*ON_LINK, *routes), rules=frozenset())


FOUND: dict[str, tuple[tuple[Route, ...], tuple[str, ...], list[str]]] = {
    "one": ((route(2, V4, "10.1.0.1"),), (), ["wlan0 by 10.1.0.1"]),
    "two": (
        (route(2, V4, "10.1.0.1"), route(3, V4, "10.2.0.1")),
        (),
        ["wlan0 by 10.1.0.1", "wwan0 by 10.2.0.1"],
    ),
    "both versions": (
        (route(2, V4, "10.1.0.1"), route(2, V6, "fe80::1")),
        (),
        ["wlan0 by 10.1.0.1 and by fe80::1"],
    ),
    "two gateways on one": (
        (route(2, V4, "10.1.0.1"), route(2, V4, "10.1.0.9"), route(2, V6, "fe80::1")),
        (),
        ["wlan0 by 10.1.0.1 and by fe80::1", "wlan0 by 10.1.0.9"],
    ),
    "point to point": ((route(3, V4),), (), ["wwan0 on the link"]),
    "one of two, named": (
        (route(2, V4, "10.1.0.1"), route(3, V4, "10.2.0.1")),
        ("wwan0",),
        ["wwan0 by 10.2.0.1"],
    ),
    "a gateway named": (
        (),
        ("wlan0,gateway=10.1.0.7+fd01::7",),
        ["wlan0 by 10.1.0.7 and by fd01::7"],
    ),
    "named twice": ((route(3, V4, "10.2.0.1"),), ("wwan0", "wwan0"), ["wwan0 by 10.2.0.1"]),
}


@pytest.mark.parametrize(("routes", "wanted", "uplinks"), FOUND.values(), ids=FOUND.keys())
def test_uplinks_are_where_default_routes_lead(
    routes: tuple[Route, ...], wanted: tuple[str, ...], uplinks: list[str]
) -> None:
    assert list(map(str, find_uplinks(view(*routes), wanted))) == uplinks


def test_each_knows_what_is_on_its_link() -> None:
    (uplink,) = find_uplinks(view(route(2, V4, "10.1.0.1"), route(2, V6, "fd01::1")), ())
    assert [list(map(str, way.networks)) for way in uplink.ways] == [["10.1.0.0/24"], ["fd01::/64"]]


def test_ipv6_is_left_out_where_packets_are_too_small() -> None:
    small = replace(WIFI, mtu=1000)
    routes = (route(2, V4, "10.1.0.1"), route(2, V6, "fe80::1"))
    (uplink,) = find_uplinks(view(*routes, links=(small,)), ())
    assert str(uplink) == "wlan0 by 10.1.0.1"


DOWN = replace(WIFI, up=False)
BARE = replace(WIFI, addresses=())
REFUSED: dict[str, tuple[KernelView, tuple[str, ...], str]] = {
    "no default route": (view(), (), "no default route, hence no uplink"),
    "no route": (view(), ("eth9",), "eth9 has no default route"),
    "no interface": (view(), ("eth7",), "no interface 'eth7'.*eth9, wlan0, wwan0"),
    "down": (view(links=(DOWN,)), ("wlan0",), "is down"),
    "no address": (
        view(route(2, V4, "10.1.0.1"), links=(BARE,)),
        (),
        "wlan0 has no IPv4 address",
    ),
    "a gateway elsewhere": (view(), ("wlan0,gateway=10.7.0.1",), "in no network of wlan0"),
    "no gateway": (view(), ("wlan0,gateway=x",), "should be an IP address"),
    "another key": (view(), ("wlan0,mtu=9",), "bad part 'mtu=9'"),
}


@pytest.mark.parametrize(("machine", "wanted", "hint"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_refused(
    machine: KernelView, wanted: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(UsageError, match=hint):
        find_uplinks(machine, wanted)
