"""Finding routes: shortest paths for routers, and whether a packet would get where it is to go."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.sim.box import Box
from plait.sim.link import Link
from plait.sim.node import Node, Route, Router
from plait.sim.packet import Packet, packet_destination
from plait.sim.station import Station


def add_shortest_paths(
    routers: Iterable[Router], placed: Mapping[IpAddress, tuple[Link, ...]]
) -> None:
    """Give routers a route to every address over as few links as possible.

    Args:
        routers: Who gets routes, after those they have.
        placed: By address the links by which its owners send from it; the nearest owner counts,
            equally near ones share the flows.
    """
    known = list(routers)
    ways: dict[tuple[Link, ...], dict[Node, list[Link]]] = {}
    for address, interfaces in placed.items():
        if interfaces not in ways:
            ways[interfaces] = _ways_to(interfaces)
        for router in known:
            links = ways[interfaces].get(router)
            if links:
                router.table.add(Route(ip_network(address), links))


def _ways_to(interfaces: Sequence[Link]) -> dict[Node, list[Link]]:
    """Return, by node, the first links of all shortest paths that end at one of the interfaces."""
    distance: dict[Node, int] = {}
    ways: dict[Node, list[Link]] = {}
    for interface in interfaces:
        distance[interface.target] = 0
        ways.setdefault(interface.target, []).append(_reverse(interface))
    last = [_reverse(interface) for interface in interfaces]
    queue = deque(distance)
    while queue:
        node = queue.popleft()
        if isinstance(node, Station):
            continue  # hosts do not forward
        for link in node.ports:
            if link in last:
                continue
            neighbor = link.target
            back = _reverse(link)
            if neighbor not in distance:
                distance[neighbor] = distance[node] + 1
                ways[neighbor] = []
                queue.append(neighbor)
            if distance[neighbor] == distance[node] + 1 and back not in ways[neighbor]:
                ways[neighbor].append(back)
    return ways


def _reverse(link: Link) -> Link:
    """Return the other direction of a link."""
    return link.target.ports[link.port]


def check_reach(packet: Packet, link: Link) -> None:
    """Raise UsageError unless every way a packet may take from `link` on ends at its destination.

    Middleboxes are taken to pass it on, and one that stands for the destination to know better.
    """
    destination = packet_destination(packet)
    _follow(packet, destination, link, ())


def _follow(packet: Packet, destination: bytes, link: Link, passed: tuple[Link, ...]) -> None:
    if link in passed:
        raise UsageError(f"the routes lead in a circle over {link.target.name}")
    node = link.target
    further: list[Link] = []
    if isinstance(node, Router):
        further = node.table.matching(packet)
        if not further:
            raise UsageError(f"router {node.name} has no route")
    elif isinstance(node, Box):
        if any(address.packed == destination for address in node.addresses):
            return
        further = [node.ports[1 - link.port]]
    elif not isinstance(node, Station) or not node.owns(destination):
        raise UsageError(f"the packets end at {node.name}")
    for way in further:
        _follow(packet, destination, way, (*passed, link))
