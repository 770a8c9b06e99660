"""Ends of the UDP encapsulation without sockets, and the network between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from random import Random

from plait.addresses import Path
from plait.drivers.udp.format import is_control
from plait.drivers.udp.session import Outer, Session, UdpCounters
from plait.drivers.udp.sessions import Sessions
from plait.units import SECOND, Nanos
from plait.wire.segment import ACK, SYN, Segment

SECRET = b"0123456789abcdef"
SERVER: Outer = ("192.0.2.1", 8684)
START: Nanos = 1000 * SECOND


class End:
    """One socket's sessions; what they send goes into the network's log."""

    def __init__(self, network: Network, outer: Outer, seed: int, secret: bytes = SECRET) -> None:
        self.network = network
        self.outer = outer
        self.local = ip_address(outer[0])
        self.counters = UdpCounters()
        self.sessions = Sessions(
            self.local,
            secret,
            Random(seed).randbytes,
            self.counters,
            port=SERVER[1],
            interval=15 * SECOND,
        )
        self.arrived: list[tuple[str, bytes]] = []
        """Data and the inner address that it came from."""

        self.origins: list[bytes] = []
        """The session of each of them, by its initiator's id."""

        network.ends[outer] = self

    @property
    def live(self) -> list[Session]:
        return list(self.sessions.table.sessions())

    def take(self, octets: bytes, source: Outer) -> list[tuple[bytes, Outer]]:
        """Take a datagram; return what is said about it."""
        now = self.network.now
        if is_control(octets):
            for segment in self.sessions.on_control(now, octets, source):
                self.send(b"held", segment.flow)
        else:
            session = self.sessions.arrived(now, octets, 0, len(octets), source)
            if session is not None:
                self.arrived.append((str(session.remote), octets[8:]))
                self.origins.append(session.initiator_id)
        return self.drain()

    def send(self, data: bytes, flow: bytes, flags: int = ACK) -> None:
        """Send data, or have it held back."""
        segment = Segment(flow, 1, 1, flags, 1)
        session = self.sessions.towards(self.network.now, segment, flow[4:8])
        self.network.carry(self)
        if session is not None:
            padded = b"\x01\x02\x03\x04" + data.ljust(60)
            self.network.pass_on(self, session.remote_id + padded, session.outer)

    def drain(self) -> list[tuple[bytes, Outer]]:
        outbox, self.sessions.table.outbox = self.sessions.table.outbox, []
        return outbox


@dataclass
class Network:
    """Delivers at once; `nat` maps the outer addresses that peers see."""

    now: Nanos = START
    ends: dict[Outer, End] = field(default_factory=dict)
    nat: dict[Outer, Outer] = field(default_factory=dict)
    log: list[tuple[Outer, Outer, bytes]] = field(default_factory=list)
    """What passed: source as it is seen, destination, octets."""

    lose: Callable[[bytes], bool] = lambda _: False
    """Asked for every datagram."""

    def pass_on(self, end: End, octets: bytes, destination: Outer) -> None:
        source = self.nat.get(end.outer, end.outer)
        if self.lose(octets):
            return
        self.log.append((source, destination, octets))
        inside = {seen: real for real, seen in self.nat.items()}
        found = self.ends.get(inside.get(destination, destination))
        hidden = destination in self.nat and inside.get(destination) is None
        if found is not None and not hidden:
            for answer, outer in found.take(octets, source):
                self.pass_on(found, answer, outer)

    def carry(self, *ends: End) -> None:
        for end in ends or tuple(self.ends.values()):
            for octets, outer in end.drain():
                self.pass_on(end, octets, outer)

    def wait(self, span: Nanos) -> None:
        """Let time pass, with timers."""
        until = self.now + span
        while (due := min(end.sessions.due for end in self.ends.values())) <= until:
            self.now = max(self.now, due)
            for end in tuple(self.ends.values()):
                end.sessions.on_timer(self.now)
            self.carry()
        self.now = until


def flow(source: str, destination: str) -> bytes:
    return Path(ip_address(source), 1000, ip_address(destination), 80).flow_out()


def connected(client: str = "10.0.0.1", seed: int = 1) -> tuple[Network, End, End]:
    """Return a client and a server with a session between them."""
    network = Network()
    server = End(network, SERVER, 0)
    end = End(network, (client, 4000), seed)
    end.send(b"", flow(client, SERVER[0]), SYN)
    return network, end, server
