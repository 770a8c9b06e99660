"""What stands at the ends of links: the contract of every node, and routers."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final
from zlib import crc32

from mypy_extensions import mypyc_attr

from plait.errors import UsageError
from plait.sim.packet import Packet, packet_destination, packet_source, serialize, too_big
from plait.sim.packet import unreachable as no_route
from plait.trace.pcap import PcapWriter
from plait.units import Nanos
from plait.wire.segment import Segment

if TYPE_CHECKING:
    from plait.sim.link import Link

_REMEMBERED: Final = 65_536
"""Flows whose way a router remembers."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Node:
    """Takes packets from links and sends packets on links.

    Attributes:
        name: As the scenario calls it.
        ports: The links that lead away, by port; a link of the same pair arrives at the same port.
        tap: Where packets that pass are recorded, if anywhere.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.ports: list[Link] = []
        self.tap: PcapWriter | None = None

    def attach(self, link: Link) -> int:
        """Know a link that leads away, and return its port."""
        self.ports.append(link)
        return len(self.ports) - 1

    def receive(self, now: Nanos, packet: Packet, port: int) -> None:
        """Take a packet that arrived on a port; it is shared, so change copies only."""
        raise NotImplementedError

    def on_too_big(self, now: Nanos, packet: Packet, link: Link) -> None:
        """A packet that this node sent does not fit the link; it is lost."""

    def record(self, now: Nanos, packet: Packet) -> None:
        """Write a packet to the capture, if there is one."""
        if self.tap is not None:
            self.tap.write(now, serialize(packet))


class Route:
    """Sends what matches to one of some links.

    Args:
        to: Network of the destination.
        links: Where to; several share the flows.
        source: Network of the source, or any.
        port: Destination port of the segment, or any.
    """

    def __init__(
        self,
        to: IPv4Network | IPv6Network,
        links: list[Link],
        source: IPv4Network | IPv6Network | None = None,
        port: int | None = None,
    ) -> None:
        if not links:
            raise UsageError(f"the route to {to} leads nowhere")
        self.to = to
        self.links = links
        self.source = source
        self.port = port
        self._to = _Prefix(to)
        self._source = None if source is None else _Prefix(source)

    def rank(self) -> tuple[int, int, int]:
        """Return what is larger the more specific the route is: destination, source, port."""
        source = 0 if self.source is None else self.source.prefixlen + 1
        return self.to.prefixlen, source, int(self.port is not None)

    def matches(self, packet: Packet) -> bool:
        """Return whether the route is for this packet."""
        if not self._to.holds(packet_destination(packet)):
            return False
        if self._source is not None and not self._source.holds(packet_source(packet)):
            return False
        if self.port is None:
            return True
        return isinstance(packet, Segment) and packet.flow[-2:] == self.port.to_bytes(2, "big")


class _Prefix:
    """A network, compared as integers."""

    def __init__(self, network: IPv4Network | IPv6Network) -> None:
        self._octets = network.max_prefixlen // 8
        self._shift = network.max_prefixlen - network.prefixlen
        self._bits = int(network.network_address) >> self._shift

    def holds(self, address: bytes) -> bool:
        return (
            len(address) == self._octets
            and int.from_bytes(address, "big") >> self._shift == self._bits
        )


class RouteTable:
    """Routes, the most specific first; remembers which way each flow goes."""

    def __init__(self, salt: int = 0) -> None:
        self.routes: list[Route] = []
        self._salt = salt
        self._ways: dict[tuple[bytes, bool], Link | None] = {}

    def add(self, route: Route) -> None:
        """Add a route; of equally specific ones the first counts."""
        self.routes.append(route)
        self.routes.sort(key=Route.rank, reverse=True)
        self._ways.clear()

    def find(self, packet: Packet) -> Link | None:
        """Return the link a packet leaves by; flows are spread by a hash of theirs (RFC 2992)."""
        key = packet.flow, isinstance(packet, Segment)
        way = self._ways.get(key)
        if way is None:
            links = self.matching(packet)
            if not links:
                return None
            if len(self._ways) >= _REMEMBERED:
                self._ways.clear()
            way = links[crc32(packet.flow, self._salt) % len(links)]
            self._ways[key] = way
        return way

    def matching(self, packet: Packet) -> list[Link]:
        """Return the links of the route that the packet takes; none without a route."""
        for route in self.routes:
            if route.matches(packet):
                return route.links
        return []


class Router(Node):
    """Forwards by destination, and by source and port where a route asks for them.

    Attributes:
        table: Its routes.
        unrouted: Packets dropped for want of a route.
    """

    def __init__(self, name: str, salt: int = 0) -> None:
        super().__init__(name)
        self.table = RouteTable(salt)
        self.unrouted = 0

    def receive(self, now: Nanos, packet: Packet, port: int) -> None:
        """Send a packet on, or tell its source that no route leads there."""
        if self.tap is not None:
            self.record(now, packet)
        link = self.table.find(packet)
        if link is not None:
            link.send(packet)
            return
        self.unrouted += 1
        if isinstance(packet, Segment):
            self._report(no_route(packet))

    def on_too_big(self, now: Nanos, packet: Packet, link: Link) -> None:
        """Tell the source how large packets may be (RFC 1191, 4)."""
        if isinstance(packet, Segment):
            self._report(too_big(packet, link.mtu))

    def _report(self, error: Packet) -> None:
        link = self.table.find(error)
        if link is not None:
            link.send(error)


def host_network(address: bytes) -> IPv4Network | IPv6Network:
    """Return the network of one address."""
    return IPv4Network(address) if len(address) == len(bytes(4)) else IPv6Network(address)
