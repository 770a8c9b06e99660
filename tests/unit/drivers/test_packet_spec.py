from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from plait.drivers.kernel_view import KernelView, Link, Route
from plait.drivers.packet_spec import SHARED_PORTS, PacketSpec, settle, with_shared_ports
from plait.errors import UsageError
from plait.host.settings import Settings

SPECS = {
    "eth0,shared": PacketSpec(interface="eth0", shared=True),
    "eth0,shared,ports=5000-5099": PacketSpec(
        interface="eth0", shared=True, ports=range(5000, 5100)
    ),
    "eth0,local=10.0.0.7/24+fd00::7/64,gateway=10.0.0.1+fe80::1": PacketSpec(
        interface="eth0",
        local=(ip_interface("10.0.0.7/24"), ip_interface("fd00::7/64")),
        gateway=(ip_address("10.0.0.1"), ip_address("fe80::1")),
    ),
}


@pytest.mark.parametrize(("text", "spec"), SPECS.items())
def test_reads_the_form(text: str, spec: PacketSpec) -> None:
    assert PacketSpec.parse(text) == spec


BROKEN = {
    "eth0": "local=A/LEN",
    ",shared": "bad packet",
    "": "bad packet",
    "eth0,local=10.0.0.7": "with its prefix length",
    "eth0,local=x/24": "with its prefix length",
    "eth0,local=127.0.0.1/8": "no address to connect from",
    "eth0,local=fe80::1/64": "no address to connect from",
    "eth0,shared=yes": "bad part 'shared=yes'",
    "eth0,shared,shared": "bad part",
    "eth0,shared,speed=1": "bad part 'speed=1'",
    "eth0,shared,ports=9-1": "ports: '9-1' is no range",
    "eth0,local=10.0.0.7/24,ports=5000-5001": "goes with `shared`",
    "eth0,shared,gateway=x": "an IP address",
    "eth0,shared,gateway=10.0.0.1+10.0.0.2": "one gateway",
}


@pytest.mark.parametrize(("text", "hint"), BROKEN.items())
def test_a_bad_part_is_named(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        PacketSpec.parse(text)


def test_shared_ports_are_those_of_the_stack() -> None:
    own, one, other = map(PacketSpec.parse, ("e0,local=10.0.0.7/24", "e0,shared", "e1,shared"))
    assert with_shared_ports(Settings(), [own]) == Settings()
    assert with_shared_ports(Settings(), [own, one, other]).ephemeral == SHARED_PORTS
    with pytest.raises(UsageError, match="the same ports"):
        with_shared_ports(Settings(), [one, replace(other, ports=range(5000, 5100))])


ETH0 = Link(
    name="eth0",
    index=2,
    mac=bytes.fromhex("02005e100001"),
    mtu=1400,
    ethernet=True,
    up=True,
    addresses=(ip_interface("10.0.0.2/24"), ip_interface("fd00::2/64")),
)
ETH1 = replace(ETH0, name="eth1", index=3, addresses=(ip_interface("10.1.0.2/24"),))


def route(destination: str, gateway: str | None, metric: int = 0, index: int = 2) -> Route:
    return Route(
        destination=ip_network(destination),
        gateway=None if gateway is None else ip_address(gateway),
        index=index,
        table=254,
        metric=metric,
        onlink=False,
    )


VIEW = KernelView(
    links=(ETH0, ETH1),
    routes=(
        route("0.0.0.0/0", "10.0.0.1"),
        route("0.0.0.0/0", "10.0.0.9", 7),
        route("::/0", "fe80::1"),
        route("0.0.0.0/0", "10.1.0.1", index=3),
        route("10.0.0.0/24", None),
        route("10.8.0.0/16", None),
        route("fd00::/64", None),
    ),
    rules=frozenset(),
)


def test_shared_addresses_and_routes_are_the_kernels() -> None:
    station = settle(PacketSpec.parse("eth0,shared"), VIEW)
    assert list(map(str, station.addresses)) == ["10.0.0.2", "fd00::2"]
    assert list(map(str, station.gateways)) == ["10.0.0.1", "fe80::1"]
    assert {str(one) for one in station.networks} == {"10.0.0.0/24", "10.8.0.0/16", "fd00::/64"}
    assert (station.index, station.mac, station.mtu) == (2, ETH0.mac, 1400)


def test_own_addresses_bring_their_networks() -> None:
    station = settle(PacketSpec.parse("eth1,local=10.1.0.7/24"), VIEW)
    assert list(map(str, station.addresses)) == ["10.1.0.7"]
    assert list(map(str, station.networks)) == ["10.1.0.0/24"]
    assert list(map(str, station.gateways)) == ["10.1.0.1"]


def test_a_gateway_that_is_given_counts() -> None:
    station = settle(PacketSpec.parse("eth0,shared,gateway=10.0.0.77"), VIEW)
    assert list(map(str, station.gateways)) == ["10.0.0.77", "fe80::1"]


def test_some_of_several_addresses_can_be_shared() -> None:
    station = settle(PacketSpec.parse("eth0,shared,local=10.0.0.2/24"), VIEW)
    assert list(map(str, station.addresses)) == ["10.0.0.2"]


REFUSED = {
    "no interface": ("eth7,shared", VIEW, "choose from eth0, eth1"),
    "no Ethernet": ("eth0,shared", replace(VIEW, links=(replace(ETH0, ethernet=False),)), "no Eth"),
    "down": ("eth0,shared", replace(VIEW, links=(replace(ETH0, up=False),)), "is down"),
    "no address": ("eth0,shared", replace(VIEW, links=(replace(ETH0, addresses=()),)), "to share"),
    "not the interface's": ("eth0,shared,local=10.0.0.7/24", VIEW, "none of the interface's"),
    "the kernel's": ("eth1,local=10.0.0.2/24", VIEW, "this machine's: say `shared`"),
}


@pytest.mark.parametrize(("text", "view", "hint"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(text: str, view: KernelView, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        settle(PacketSpec.parse(text), view)


def test_linux_gives_its_own_sockets_none_of_these_ports() -> None:
    assert SHARED_PORTS.start > 60_999
