from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_interface

import pytest

from plait.addresses import IpAddress
from plait.aio.monitor import Monitor
from plait.drivers.base import Capabilities, Driver, Interface, network_namespace
from plait.linux.netns import Namespace, can_make_namespaces, veth_pair

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]

CAPABILITIES = Capabilities(mtu=1500, segmentation=False, checksum=False)
OURS = ip_address("10.9.1.1")


def driver(name: str, namespace: int) -> Driver:
    made = Driver(CAPABILITIES, [OURS])
    made.interface = Interface(name, namespace)
    return made


@pytest.fixture
def namespaces() -> Iterator[tuple[Namespace, Namespace]]:
    with Namespace() as near, Namespace() as far:
        veth_pair(near, "va", far, "vb")
        near.add_address("va", ip_interface("10.9.1.1/24"))
        far.add_address("vb", ip_interface("10.9.1.2/24"))
        yield near, far


Told = list[tuple[IpAddress, bool]]
CASES: dict[str, tuple[str, int, list[bool]]] = {
    "its interface": ("va", 0, [False, True]),
    "another interface": ("lo", 0, []),
    "one of the name in another namespace": ("va", 1, []),
}


@pytest.mark.parametrize(("name", "elsewhere", "told"), CASES.values(), ids=CASES.keys())
def test_addresses_follow_the_interface(
    namespaces: tuple[Namespace, Namespace], name: str, elsewhere: int, told: list[bool]
) -> None:
    near, _ = namespaces

    async def scenario() -> Told:
        seen: Told = []
        watched = driver(name, network_namespace() + elsewhere)
        monitor = Monitor([watched], lambda address, present: seen.append((address, present)))
        for at, up in enumerate((False, True)):
            near.set_link("va", up=up)
            await (until(lambda at=at: len(seen) > at) if told else asyncio.sleep(0.3))  # type: ignore[misc]
        monitor.close()
        near.set_link("va", up=False)
        await asyncio.sleep(0.05)
        return seen

    assert near.run(lambda: asyncio.run(scenario())) == [(OURS, present) for present in told]


def test_a_peer_that_goes_down_is_a_link_without_carrier(
    namespaces: tuple[Namespace, Namespace],
) -> None:
    near, far = namespaces

    async def scenario() -> Told:
        seen: Told = []
        watched = driver("va", network_namespace())
        monitor = Monitor([watched], lambda address, present: seen.append((address, present)))
        far.set_link("vb", up=False)
        await until(lambda: len(seen) == 1)
        far.set_link("vb", up=True)
        await until(lambda: len(seen) == 2)
        monitor.close()
        return seen

    assert near.run(lambda: asyncio.run(scenario())) == [(OURS, False), (OURS, True)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.005)
