from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.kernel_view import KernelView, Link, Route
from plait.drivers.tun_spec import TunSpec
from plait.errors import UsageError
from plait.uplinks.discovery import Uplink, Way
from plait.uplinks.plan import make_plan
from plait.uplinks.steps import show

NETWORK = ip_network("192.168.7.0/24")
LINK = Link(
    name="eth0",
    index=2,
    mtu=1400,
    mac=bytes(6),
    ethernet=True,
    up=True,
    addresses=(ip_interface("192.168.7.2/24"),),
)
WAY = Way(version=4, gateway=ip_address("192.168.7.1"), onlink=False, networks=(NETWORK,))
WAY_V6 = Way(version=6, gateway=ip_address("fe80::1"), onlink=False, networks=())
UPLINK = Uplink(link=LINK, ways=(WAY, WAY_V6))
POINT_TO_POINT = Uplink(
    link=replace(LINK, name="ppp0"), ways=(replace(WAY, gateway=None, networks=()),)
)
MACHINE = KernelView(links=(LINK,), routes=(), rules=frozenset({254, 255, 32766}))


def route(destination: str, table: int = 254) -> Route:
    network = ip_network(destination)
    return Route(destination=network, gateway=None, index=2, table=table, metric=0, onlink=False)


def commands(machine: KernelView = MACHINE, *uplinks: Uplink, owner: int | None = None) -> str:
    steps, _ = make_plan(machine, uplinks or (UPLINK,), 1, owner)
    return "\n".join(show(step.do) for step in steps)


def test_packets_of_the_stack_leave_by_the_gateway_of_the_uplink() -> None:
    told = commands()
    for line in (
        "ip tuntap add dev plait0 mode tun vnet_hdr",
        "ip link set dev plait0 mtu 1400 txqueuelen 10000 up",
        "ip address add 10.201.0.1/30 dev plait0",
        "ip route add 192.168.7.0/24 dev eth0 table 7000",
        "ip route add default via 192.168.7.1 dev eth0 table 7000",
        "ip rule add from 10.201.0.2 lookup 7000 priority 7000",
        "ip -6 route add default via fe80::1 dev eth0 table 7000",
        'add rule inet plait outgoing ip saddr 10.201.0.2 oifname "eth0" masquerade',
    ):
        assert line in told


def test_a_point_to_point_uplink_needs_no_gateway() -> None:
    assert "ip route add default dev ppp0 table 7000" in commands(MACHINE, POINT_TO_POINT)


def test_an_owner_is_named() -> None:
    assert "mode tun user 1000 vnet_hdr" in commands(owner=1000)


def test_gateways_outside_every_network_stay_on_link() -> None:
    way = replace(WAY, onlink=True)
    assert "via 192.168.7.1 onlink dev eth0" in commands(MACHINE, replace(UPLINK, ways=(way,)))


TAKEN = {
    "a device": (replace(MACHINE, links=(LINK, replace(LINK, name="plait0"))), "dev plait1"),
    "a table": (replace(MACHINE, routes=(route("10.5.0.0/24", 7000),)), "table 7001"),
    "a rule": (replace(MACHINE, rules=frozenset({7000, 7001})), "table 7002"),
    "a network": (replace(MACHINE, routes=(route("10.201.0.0/23"),)), "10.201.2.1/30"),
    "all of 10": (replace(MACHINE, routes=(route("10.0.0.0/8"),)), "100.64.0.1/30"),
    "a network of IPv6": (
        replace(MACHINE, routes=(route("fd70:6c61:6974::/64"),)),
        "fd70:6c61:6974:1::1/126",
    ),
}


@pytest.mark.parametrize(("machine", "instead"), TAKEN.values(), ids=TAKEN.keys())
def test_what_is_taken_is_not_used(machine: KernelView, instead: str) -> None:
    assert instead not in commands()
    assert instead in commands(machine)


def test_without_a_free_network_it_is_refused() -> None:
    full = replace(MACHINE, routes=(route("10.0.0.0/8"), route("100.64.0.0/10")))
    with pytest.raises(UsageError, match="no private network is free"):
        make_plan(full, [UPLINK], 1, None)


@pytest.mark.parametrize("slots", [0, -1, 65])
def test_slots_are_bounded(slots: int) -> None:
    with pytest.raises(UsageError, match="1 to 64"):
        make_plan(MACHINE, [UPLINK], slots, None)


@given(slots=st.integers(1, 12), uplinks=st.integers(1, 5))
def test_every_device_has_addresses_of_its_own(slots: int, uplinks: int) -> None:
    _, plan = make_plan(MACHINE, [UPLINK] * uplinks, slots, None)
    assert [len(slot) for slot in plan] == [uplinks] * slots
    devices = [one for slot in plan for one in slot]
    assert len({one.name for one in devices}) == len(devices)
    assert len({text for one in devices for text in one.local}) == 2 * len(devices)
    networks = [ip_interface(text).network for one in devices for text in one.peer]
    assert len(set(networks)) == len(networks)
    for one in devices:  # the spec refuses what does not fit together
        TunSpec(
            name=one.name,
            local=tuple(map(ip_address, one.local)),
            peer=tuple(map(ip_interface, one.peer)),
            mtu=one.mtu,
        )


def test_what_is_made_is_taken_back_and_nothing_of_others() -> None:
    steps, _ = make_plan(MACHINE, [UPLINK], 1, None)
    undone = {show(command) for step in steps for command in step.undo}
    assert "ip link delete dev plait0" in undone
    assert "ip rule delete from 10.201.0.2 lookup 7000 priority 7000" in undone
    assert "ip route flush table 7000" in undone
    assert not any("eth0" in line and "delete" in line for line in undone)
