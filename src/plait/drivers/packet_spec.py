"""How a packet driver is named on a command line, and what it comes to on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from typing import Final, Self

from plait.addresses import IpAddress
from plait.drivers.kernel_view import IpInterface, IpNetwork, KernelView, Link
from plait.errors import UsageError
from plait.host.settings import Settings, port_range
from plait.units import Octets

FORM: Final = "IF[,local=A/LEN[+A/LEN]][,gateway=G[+G]][,shared][,ports=LO-HI]"

SHARED_PORTS: Final = range(61_000, 65_536)
"""What a stack takes of shared addresses unless it is told: Linux gives its own sockets none of
these (ip_local_port_range)."""

_KEYS: Final = ("local", "gateway", "ports")
_SHARED: Final = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketSpec:
    """An interface of the kernel's to use beside the kernel."""

    interface: str
    local: tuple[IpInterface, ...] = ()
    """Addresses of the stack with the prefixes that are on the link; empty for the interface's own,
    if they are shared."""

    gateway: tuple[IpAddress, ...] = ()
    """At most one for each version of IP; those left out are the kernel's."""

    shared: bool = False
    """The addresses are the kernel's too, which then leaves `ports` to the stack."""

    ports: range = SHARED_PORTS

    def __post_init__(self) -> None:
        """Raise UsageError if the parts do not fit together."""
        if not self.local and not self.shared:
            raise UsageError(
                f"packet {self.interface}: give local=A/LEN, an address that nobody has, "
                "or `shared` for those of the interface"
            )
        if not self.shared and self.ports != SHARED_PORTS:
            raise UsageError(f"packet {self.interface}: ports= goes with `shared` only")
        for address in self.local:
            ip = address.ip
            if ip.is_unspecified or ip.is_multicast or ip.is_loopback or ip.is_link_local:
                raise UsageError(
                    f"packet {self.interface}: local={ip} is no address to connect from"
                )
        if len({gateway.version for gateway in self.gateway}) < len(self.gateway):
            raise UsageError(f"packet {self.interface}: one gateway for each version of IP")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the form `FORM`; raises UsageError naming the bad part."""
        interface, *rest = text.split(",")
        if not interface:
            raise UsageError(f"bad packet {text!r}: write {FORM}")
        parts: dict[str, str] = {}
        for part in rest:
            key, equals, value = part.partition("=")
            good = part == _SHARED or (key in _KEYS and equals == "=")
            if not good or key in parts:
                raise UsageError(f"bad part {part!r} in packet {text!r}: write {FORM}")
            parts[key] = value
        ports = parts.get("ports")
        return cls(
            interface=interface,
            local=tuple(_interface(one) for one in _each(parts.get("local"))),
            gateway=tuple(_gateway(one) for one in _each(parts.get("gateway"))),
            shared=_SHARED in parts,
            ports=SHARED_PORTS if ports is None else port_range("ports", ports),
        )


def with_shared_ports(settings: Settings, specs: Sequence[PacketSpec]) -> Settings:
    """Return settings that keep a stack to the ports that the kernel leaves it.

    Raises UsageError if two specs differ in them: a connection may use either.
    """
    texts = sorted({f"{one.ports.start}-{one.ports.stop - 1}" for one in specs if one.shared})
    if len(texts) > 1:
        raise UsageError(f"give all shared interfaces the same ports, not {' and '.join(texts)}")
    return replace(settings, local_ports=texts[0]) if texts else settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """What a stack is on a link."""

    name: str
    index: int
    mac: bytes
    mtu: Octets
    addresses: tuple[IpAddress, ...]
    networks: tuple[IpNetwork, ...]
    """What is reached without a gateway."""

    gateways: tuple[IpAddress, ...]

    def next_hop(self, destination: IpAddress) -> IpAddress | None:
        """Return whom to give a packet to, None if nobody leads there."""
        version = destination.version
        if destination.is_link_local or any(
            network.version == version and destination in network for network in self.networks
        ):
            return destination
        return next((one for one in self.gateways if one.version == version), None)


def settle(spec: PacketSpec, view: KernelView) -> Station:
    """Return what a driver comes to among the kernel's interfaces.  Raises UsageError."""
    link = _link(spec.interface, view)
    if spec.shared:
        own = {address.ip: address for address in link.addresses}
        local = spec.local or link.addresses
        _check_shared(spec.interface, local, own)
        local = tuple(own[address.ip] for address in local)
    else:
        local = spec.local
        _check_own(spec.interface, local, view)
    networks = {address.network for address in local}
    routes = view.routes_of(link)
    if spec.shared:
        networks |= {one.destination for one in routes if one.gateway is None and not one.default}
    given = {gateway.version for gateway in spec.gateway}
    defaults: dict[int, IpAddress] = {}
    for route in routes:
        gateway = route.gateway
        if route.default and gateway is not None and route.destination.version not in given:
            defaults.setdefault(route.destination.version, gateway)
    return Station(
        name=link.name,
        index=link.index,
        mac=link.mac,
        mtu=link.mtu,
        addresses=tuple(address.ip for address in local),
        networks=tuple(networks),
        gateways=(*spec.gateway, *defaults.values()),
    )


def _link(name: str, view: KernelView) -> Link:
    """Return an interface that frames can be sent by.  Raises UsageError."""
    link = view.link(name)
    if link is None:
        known = ", ".join(sorted(one.name for one in view.links if one.ethernet))
        raise UsageError(
            f"packet {name}: there is no such interface: choose from {known or 'none'}"
        )
    if not link.ethernet:
        raise UsageError(
            f"packet {name}: the interface is no Ethernet: use `plait up`, or a TUN device (--tun)"
        )
    if not link.up:
        raise UsageError(f"packet {name}: the interface is down: `ip link set {name} up` first")
    return link


def _check_shared(
    name: str, wanted: Sequence[IpInterface], own: dict[IpAddress, IpInterface]
) -> None:
    """Raise UsageError unless the kernel has these addresses, one at least."""
    if not own:
        raise UsageError(
            f"packet {name}: the interface has no address to share: give it one, "
            "or the stack one of its own with local=A/LEN"
        )
    for address in wanted:
        if address.ip not in own:
            raise UsageError(
                f"packet {name}: {address.ip} is none of the interface's: leave out `shared`, "
                f"or choose from {', '.join(map(str, own))}"
            )


def _check_own(name: str, wanted: Sequence[IpInterface], view: KernelView) -> None:
    """Raise UsageError if the kernel has one of these addresses."""
    taken = {address.ip for link in view.links for address in link.addresses}
    for address in wanted:
        if address.ip in taken:
            raise UsageError(
                f"packet {name}: {address.ip} is this machine's: say `shared`, "
                "or choose an address that nobody has"
            )


def _each(value: str | None) -> list[str]:
    return [] if value is None else value.split("+")


def _interface(text: str) -> IpInterface:
    """Read `A/LEN`; a network of one holds nobody to talk to."""
    try:
        if "/" in text:
            return ip_interface(text)
    except ValueError:
        pass
    raise UsageError(f"bad local={text}: it should be an address with its prefix length, A/LEN")


def _gateway(text: str) -> IpAddress:
    try:
        return ip_address(text)
    except ValueError:
        raise UsageError(f"bad gateway={text}: it should be an IP address") from None
