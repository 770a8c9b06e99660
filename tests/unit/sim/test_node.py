from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from plait.errors import UsageError
from plait.sim.clock import Clock
from plait.sim.link import Link
from plait.sim.node import Node, Route, Router, RouteTable
from plait.sim.packet import Opaque, Packet, too_big
from plait.wire.icmp import DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, IcmpError
from plait.wire.segment import ACK, Segment


class Collector(Node):
    def __init__(self) -> None:
        super().__init__("collector")
        self.packets: list[Packet] = []

    def receive(self, now: int, packet: Packet, port: int) -> None:
        self.packets.append(packet)


def flow(source: str, destination: str, ports: tuple[int, int] = (1, 2)) -> bytes:
    octets = [ip_address(text).packed for text in (source, destination)]
    return b"".join(octets) + b"".join(port.to_bytes(2, "big") for port in ports)


def make(source: str, destination: str, ports: tuple[int, int] = (1, 2)) -> Segment:
    return Segment(flow(source, destination, ports), 5, 0, ACK, 0)


CLOCK = Clock()
LINKS = {name: Link(CLOCK, name) for name in "abcdefg"}


def route(to: str, links: str, source: str | None = None, port: int | None = None) -> Route:
    return Route(
        ip_network(to),
        [LINKS[name] for name in links],
        None if source is None else ip_network(source),
        port,
    )


def table() -> RouteTable:
    made = RouteTable()
    made.add(route("0.0.0.0/0", "a"))
    made.add(route("10.1.0.0/16", "b"))
    made.add(route("10.1.0.0/16", "c", source="10.9.0.0/16"))
    made.add(route("10.1.0.0/16", "d", source="10.9.0.0/16", port=80))
    made.add(route("10.1.2.3/32", "e"))
    made.add(route("10.1.2.3/32", "a"))
    made.add(route("fd00::/64", "f"))
    made.add(route("fd00::/64", "g", port=80))
    return made


WAYS = {
    "default": (make("10.0.0.1", "192.0.2.1"), "a"),
    "longer prefix": (make("10.0.0.1", "10.1.9.9"), "b"),
    "by source": (make("10.9.0.1", "10.1.9.9"), "c"),
    "by source and port": (make("10.9.0.1", "10.1.9.9", (7, 80)), "d"),
    "the destination counts more": (make("10.9.0.1", "10.1.2.3", (7, 80)), "e"),
    "IPv6": (make("fd00:1::1", "fd00::9"), "f"),
    "IPv6 by port": (make("fd00:1::1", "fd00::9", (7, 80)), "g"),
    "an error goes to the source of what it quotes": (
        too_big(make("10.1.2.3", "192.0.2.1"), 1280),
        "e",
    ),
    "cross traffic has no port": (Opaque(flow("10.9.0.1", "10.1.9.9", (7, 80)), 100), "c"),
}


@pytest.mark.parametrize(("packet", "name"), WAYS.values(), ids=WAYS.keys())
def test_the_most_specific_route_counts(packet: Packet, name: str) -> None:
    routes = table()
    assert routes.find(packet) is LINKS[name]
    assert routes.find(packet) is LINKS[name]  # once more, from memory


def test_without_a_route_there_is_no_way() -> None:
    assert RouteTable().find(make("10.0.0.1", "10.0.0.2")) is None


def test_flows_are_spread_evenly_and_each_keeps_its_way() -> None:
    routes = RouteTable()
    routes.add(route("0.0.0.0/0", "abcd"))
    packets = [make("10.0.0.1", "10.0.0.2", (port, 80)) for port in range(1000, 3000)]
    ways = [routes.find(packet) for packet in packets]
    assert ways == [routes.find(packet) for packet in packets]
    for name in "abcd":
        assert 400 < ways.count(LINKS[name]) < 600


def test_a_salt_spreads_them_differently() -> None:
    packets = [make("10.0.0.1", "10.0.0.2", (port, 80)) for port in range(100)]
    spread = []
    for salt in (0, 1):
        routes = RouteTable(salt)
        routes.add(route("0.0.0.0/0", "ab"))
        spread.append([routes.find(packet) for packet in packets])
    assert spread[0] != spread[1]


def test_a_route_leads_somewhere() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        route("10.0.0.0/8", "")


class Bench:
    """A router with a link to either side."""

    def __init__(self, mtu: int = 1500) -> None:
        self.clock = Clock()
        self.router = Router("router")
        self.near, self.far = Collector(), Collector()
        for network, node in (("10.1.0.0/16", self.near), ("10.2.0.0/16", self.far)):
            link = Link(self.clock, network, mtu=mtu)
            link.source, link.target = self.router, node
            self.router.table.add(Route(ip_network(network), [link]))

    def route(self, packet: Packet) -> None:
        self.router.receive(0, packet, 0)
        self.clock.run(1)


def test_a_router_forwards() -> None:
    bench = Bench()
    packet = make("10.1.0.1", "10.2.0.1")
    bench.route(packet)
    assert bench.far.packets == [packet]
    assert bench.near.packets == []


@pytest.mark.rfc("1191", "4")
def test_a_router_tells_how_large_packets_may_be() -> None:
    bench = Bench(mtu=60)
    packet = make("10.1.0.1", "10.2.0.1")
    packet.payload, packet.length = (bytes(21),), 21
    bench.route(packet)
    (error,) = bench.near.packets
    assert isinstance(error, IcmpError)
    assert (error.type, error.code, error.mtu) == (
        DESTINATION_UNREACHABLE,
        FRAGMENTATION_NEEDED,
        60,
    )
    assert (error.flow, error.seq) == (packet.flow, 5)


@pytest.mark.rfc("1812", "4.3.3.1")
def test_a_router_tells_that_there_is_no_route() -> None:
    bench = Bench()
    bench.route(make("10.1.0.1", "192.0.2.1"))
    (error,) = bench.near.packets
    assert isinstance(error, IcmpError)
    assert (error.type, error.code) == (DESTINATION_UNREACHABLE, 0)
    assert bench.router.unrouted == 1


def test_a_router_makes_no_error_about_an_error() -> None:
    bench = Bench()
    bench.route(too_big(make("192.0.2.1", "10.2.0.1"), 1280))
    assert bench.router.unrouted == 1
    assert bench.near.packets == bench.far.packets == []
