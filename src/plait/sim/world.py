"""Building the world of a scenario: nodes, links, addresses, routes and what changes them."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeVar

from plait.addresses import IpAddress
from plait.arguments import nanos, parse_address
from plait.errors import UsageError
from plait.host.settings import Settings
from plait.sim.box import INSIDE, OUTSIDE, Box
from plait.sim.clock import Clock
from plait.sim.link import Link
from plait.sim.making import (
    bits,
    make_box,
    make_link,
    make_loss,
    make_settings,
)
from plait.sim.node import Node, Route, Router
from plait.sim.rate import Constant
from plait.sim.routing import add_shortest_paths
from plait.sim.scenario import EventSpec, RouteSpec, Scenario
from plait.sim.seed import Seed
from plait.sim.station import Station
from plait.units import SECOND

T = TypeVar("T")


class World:
    """Everything that a scenario describes but its flows; raises UsageError that names the key.

    Attributes:
        nodes: Hosts, routers and middleboxes by name.
        links: Both directions of each link by its name, forth first.
        addresses: The hosts of every address, several if they share it.
    """

    def __init__(self, scenario: Scenario, seed: Seed) -> None:
        self.scenario = scenario
        self.seed = seed
        self.clock = Clock()
        self.nodes: dict[str, Node] = {}
        self.links: dict[str, tuple[Link, Link]] = {}
        self.addresses: dict[IpAddress, list[Station]] = {}
        self.settings: dict[str, Settings] = {}
        self._add_nodes()
        self._add_links()
        self._order_middleboxes()
        self._add_addresses()
        self._add_routes()
        for number, event in enumerate(scenario.events):
            naming(f"events.{number}", self._schedule, event)

    def station(self, name: str) -> Station:
        """Return a host.  Raises UsageError if there is none of that name."""
        node = self.nodes.get(name)
        if not isinstance(node, Station):
            raise UsageError(f"there is no host {name!r}")
        return node

    def stations(self) -> list[Station]:
        """Return all hosts, in the order of the scenario."""
        return [node for node in self.nodes.values() if isinstance(node, Station)]

    # ---- building

    def _add_nodes(self) -> None:
        scenario = self.scenario
        for name, host in scenario.hosts.items():
            settings = naming(f"hosts.{name}.settings", make_settings, host.settings)
            self.settings[name] = settings
            entropy = self.seed.octets(f"host/{name}")
            station = Station(self.clock, name, settings, entropy)
            station.coalesce = nanos(host.coalesce_ms)
            self._add(f"hosts.{name}", station)
        for name, router in scenario.routers.items():
            self._add(f"routers.{name}", Router(name, router.salt))
        for name, spec in scenario.middleboxes.items():
            where = f"middleboxes.{name}"
            box = naming(where, make_box, self.clock, name, spec)
            self._add(where, box)

    def _add(self, where: str, node: Node) -> None:
        if node.name in self.nodes:
            raise UsageError(f"{where}: another node is called {node.name}")
        self.nodes[node.name] = node

    def _add_links(self) -> None:
        for name, spec in self.scenario.links.items():
            where = f"links.{name}"
            ends = []
            for end in spec.between:
                if end not in self.nodes:
                    raise UsageError(f"{where}.between: there is no node {end!r}")
                ends.append(self.nodes[end])
            one, other = ends
            if one is other:
                raise UsageError(f"{where}.between: a link joins two nodes")
            forth, back = (
                naming(where, make_link, self.clock, self.seed, label, shape)
                for label, shape in ((f"{name}/forth", spec.forth), (f"{name}/back", spec.back))
            )
            _join(forth, back, one, other)
            forth.serialize = back.serialize = self.scenario.serialize
            self.links[name] = forth, back

    def _order_middleboxes(self) -> None:
        """Put the inside of each middlebox on the port for it."""
        for name, spec in self.scenario.middleboxes.items():
            where = f"middleboxes.{name}"
            box = self.nodes[name]
            if len(box.ports) != 2:
                raise UsageError(f"{where}: a middlebox has 2 links, not {len(box.ports)}")
            inside = self.links.get(spec.inside)
            if inside is None or not set(box.ports) & set(inside):
                raise UsageError(f"{where}.inside: {spec.inside!r} is no link of it")
            if box.ports[INSIDE] not in inside:
                box.ports.reverse()
                for pair in self.links.values():
                    for link in pair:
                        if link.target is box:
                            link.port = OUTSIDE if link.port == INSIDE else INSIDE

    def _add_addresses(self) -> None:
        for name, host in self.scenario.hosts.items():
            station = self.station(name)
            where = f"hosts.{name}.addresses"
            if not host.addresses:
                raise UsageError(f"{where}: a host needs an address")
            absent = [parse_address(f"hosts.{name}.absent", text) for text in host.absent]
            for link_name, texts in host.addresses.items():
                link = self._link_from(station, link_name, where)
                for text in texts:
                    address = parse_address(f"{where}.{link_name}", text)
                    owners = self.addresses.setdefault(address, [])
                    if owners and (station in owners or not self._is_shared(address)):
                        raise UsageError(f"{where}.{link_name}: {address} is given twice")
                    owners.append(station)
                    station.add_address(address, link)
                    if address not in absent:
                        station.set_address(address, present=True)

    def _is_shared(self, address: IpAddress) -> bool:
        """Return whether every host that has the address says that others have it, too."""
        return all(
            address in [parse_address(f"hosts.{name}.shared", text) for text in host.shared]
            for name, host in self.scenario.hosts.items()
            if any(str(address) in texts for texts in host.addresses.values())
        )

    def _add_routes(self) -> None:
        placed = {
            address: tuple(station.interface(address) for station in owners)
            for address, owners in self.addresses.items()
        }
        for node in self.nodes.values():
            if isinstance(node, Box):
                for address in node.addresses:
                    placed.setdefault(address, (node.ports[OUTSIDE],))
        routers = [node for node in self.nodes.values() if isinstance(node, Router)]
        for name, router in self.scenario.routers.items():
            node = self.nodes[name]
            assert isinstance(node, Router)
            for number, spec in enumerate(router.routes):
                where = f"routers.{name}.routes.{number}"
                node.table.add(naming(where, self._route, node, spec))
        add_shortest_paths(routers, placed)
        for name, host in self.scenario.hosts.items():
            for number, spec in enumerate(host.routes):
                where = f"hosts.{name}.routes.{number}"
                station = self.station(name)
                station.table.add(naming(where, self._route, station, spec))

    def _route(self, node: Node, spec: RouteSpec) -> Route:
        links = [self._link_from(node, name, "via") for name in spec.via]
        source = None if spec.source is None else _network(spec.source)
        return Route(_network(spec.to), links, source, spec.port)

    def _link_from(self, node: Node, name: str, where: str) -> Link:
        """Return the direction of a link that leads away from a node."""
        for link in self.links.get(name, ()):
            if link.source is node:
                return link
        raise UsageError(f"{where}: {name!r} is no link of {node.name}")

    # ---- what changes

    def _schedule(self, event: EventSpec) -> None:
        at = round(event.at_s * SECOND)
        if event.link is not None:
            if event.link not in self.links:
                raise UsageError(f"link: there is no link {event.link!r}")
            self.clock.call_at(at, self._change_link, event)
            return
        assert event.host is not None
        assert event.address is not None
        station = self.station(event.host)
        station.interface(parse_address("address", event.address))
        self.clock.call_at(at, self._change_address, event)

    def _change_link(self, event: EventSpec) -> None:
        assert event.link is not None
        forth, back = self.links[event.link]
        for link in {"forth": (forth,), "back": (back,), "both": (forth, back)}[event.direction]:
            if event.rate_mbit is not None:
                link.rate = Constant(bits(event.rate_mbit))
            if event.delay_ms is not None:
                link.delay = nanos(event.delay_ms)
            if event.loss is not None:
                link.loss = make_loss(self.seed, f"{link.name}/{event.at_s}", event.loss)
            if event.up is not None:
                link.set_up(event.up)

    def _change_address(self, event: EventSpec) -> None:
        assert event.host is not None
        assert event.address is not None
        assert event.present is not None
        self.station(event.host).set_address(
            parse_address("address", event.address), present=event.present
        )


def naming(where: str, make: Callable[..., T], *arguments: object) -> T:
    """Return what `make` makes; its UsageError is told with the key at fault."""
    try:
        return make(*arguments)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _join(forth: Link, back: Link, one: Node, other: Node) -> None:
    """Put a pair of links between two nodes."""
    forth.source = back.target = one
    forth.target = back.source = other
    back.port = one.attach(forth)
    forth.port = other.attach(back)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no network") from error
