"""The UDP driver on loopback, without privilege."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import random
import socket
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.drivers.base import Driver
from plait.drivers.udp import Udp, UdpSpec, channel
from plait.drivers.udp.format import INIT, OVERHEAD, Control
from plait.drivers.udp.session import Outer
from plait.errors import UsageError
from plait.host.settings import Settings
from plait.units import SECOND, Nanos, Octets
from plait.wire import icmp
from plait.wire.segment import ACK, SYN, Buffer, Segment

SECRET = b"0123456789abcdef"
HERE, THERE = "127.0.0.1", "127.0.0.2"

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no ICMP errors")


def has_v6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def udp(address: str, remote_port: int = 8684, **options: Any) -> Udp:
    given: dict[str, Any] = {"secret": SECRET, "mtu": 1500} | options
    spec = UdpSpec(local=ip_address(address), remote_port=remote_port, **given)
    return Udp(spec)


def port_of(driver: Udp) -> int:
    return int(driver.outer[1])


WORLDS = {
    "IPv4": (THERE, (HERE,), {}),
    "IPv4, no offload": (THERE, (HERE,), {"offload": False}),
    "IPv4, two paths": (THERE, (HERE, "127.0.0.3"), {}),
    "IPv4, small packets": (THERE, (HERE,), {"mtu": 576}),
    "IPv4, packets of the interface": (THERE, (HERE,), {"mtu": None}),
    "IPv6": ("::1", ("::1",), {}),
    "IPv6, no offload": ("::1", ("::1",), {"offload": False}),
}


@pytest.mark.parametrize(("there", "here", "options"), WORLDS.values(), ids=WORLDS.keys())
def test_a_megabyte_each_way(there: str, here: tuple[str, ...], options: dict[str, Any]) -> None:
    if ":" in there and not has_v6():
        pytest.skip("no IPv6 on loopback")
    data = random.Random(1).randbytes(1 << 20)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(1 << 18):
            writer.write(block)
            await writer.drain()
        writer.close()

    async def main() -> tuple[str, int]:
        listening = udp(there, **options)
        calling = [udp(one, port_of(listening), **options) for one in here]
        async with asyncio.timeout(20), Stack([listening]) as far, Stack(calling) as near:
            await start_server(echo, None, 5000, backend=far)
            reader, writer = await open_connection(there, 5000, backend=near)
            writer.write(data)
            writer.write_eof()
            digest = hashlib.sha256(await reader.read()).hexdigest()
            assert listening.counters.malformed == listening.counters.strange == 0
            writer.close()
            return digest, listening.counters.opened

    digest, opened = asyncio.run(main())
    assert digest == hashlib.sha256(data).hexdigest()
    assert opened == len(here)


def test_a_system_that_offers_nothing_but_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_LINUX", value=False)
    monkeypatch.setattr(channel, "_MESSAGES", value=False)
    test_a_megabyte_each_way(THERE, (HERE,), {})


Ends = tuple[Udp, Udp]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Two sockets with a session between them."""
    there = udp(THERE)
    here = udp(HERE, port_of(there))
    here.write_burst(time.monotonic_ns(), [segment(here, there, flags=SYN)])
    assert len(arrivals(there, here)) == 1
    yield here, there
    here.close()
    there.close()


def segment(source: Udp, destination: Udp, flags: int = ACK, payload: bytes = b"") -> Segment:
    ports = (4000 << 16 | 80).to_bytes(4, "big")
    flow = source.addresses[0].packed + destination.addresses[0].packed + ports
    return Segment(flow, 7, 8, flags, 9, (payload,) if payload else (), len(payload))


def arrivals(at: Udp, *others: Driver, count: int = 1) -> list[Segment]:
    """Read until something has come; the others do their part."""
    found: list[Segment] = []
    until = time.monotonic_ns() + SECOND
    while len(found) < count and (now := time.monotonic_ns()) < until:
        for other in others:
            other.read_burst(now)
        found += at.read_burst(now)
        time.sleep(0.001)
    return found


def test_the_segment_arrives_as_it_was_with_the_addresses_of_the_sockets(ends: Ends) -> None:
    here, there = ends
    sent = segment(here, there, payload=b"hello")
    here.write_burst(0, [sent])
    (found,) = arrivals(there)
    assert found == sent


@pytest.mark.parametrize("ecn", [0, 1, 2, 3])
@linux
@pytest.mark.rfc("6040", "4.2")
def test_marks_of_congestion_pass(ends: Ends, ecn: int) -> None:
    here, there = ends
    sent = segment(here, there, payload=b"hello")
    sent.ecn = ecn
    here.write_burst(0, [sent])
    assert [found.ecn for found in arrivals(there)] == [ecn]


@pytest.mark.parametrize("offload", [True, False])
def test_a_super_segment_arrives_as_few(offload: bool) -> None:
    there = udp(THERE, offload=offload)
    here = udp(HERE, port_of(there), offload=offload)
    here.write_burst(time.monotonic_ns(), [segment(here, there, flags=SYN)])
    arrivals(there, here)
    large = segment(here, there, payload=bytes(range(256)) * 250)
    large.segment_size = 1400
    here.write_burst(0, [large])
    found = arrivals(there)
    assert len(found) < 5
    assert b"".join(bytes(piece) for one in found for piece in one.payload) == large.payload[0]
    here.close()
    there.close()


def test_a_device_that_cannot_cut_runs_gets_datagrams(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = ends
    send = here._channel.send

    def refuse(octets: Buffer, size: Octets, tos: int, outer: Outer) -> None:
        if size:
            raise OSError(errno.EIO, "no checksum offload")
        send(octets, size, tos, outer)

    monkeypatch.setattr(here._channel, "send", refuse)
    large = segment(here, there, payload=bytes(10_000))
    large.segment_size = 1000
    here.write_burst(0, [large])
    assert sum(one.length for one in arrivals(there)) == 10_000
    assert here.counters.dropped == 0


@linux
def test_what_does_not_fit_the_interface_is_told(ends: Ends) -> None:
    here, there = ends
    here.write_burst(0, [segment(here, there, payload=bytes(65_500))])
    assert here.next_timeout() == 0
    (error,) = here.take_errors()
    assert (error.type, error.code) == (icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED)
    assert 0 < error.mtu < 65_535
    assert error.seq == 7


MTU_LOWERED = {
    "fits": ("127.0.0.1", 1500, 1472, False),
    "too big by one": ("127.0.0.1", 1499, 1472, True),
    "headers of IPv6": ("::1", 1500, 1453, True),
    "nobody tells the MTU": ("127.0.0.1", 0, 1472, False),
}


@pytest.mark.parametrize(
    ("local", "mtu", "size", "too_big"), MTU_LOWERED.values(), ids=MTU_LOWERED.keys()
)
def test_an_invalid_argument_may_mean_too_big(
    local: str, mtu: Octets, size: Octets, too_big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 6.14 that is what a run of datagrams is, once the MTU was lowered."""
    if local == "::1" and not has_v6():
        pytest.skip("no IPv6 here")
    monkeypatch.setattr(channel, "interface_mtu", lambda _: mtu)
    driver = udp(local)
    assert driver._channel.is_too_big(OSError(errno.EINVAL, ""), size) == too_big
    driver.close()


@linux
def test_a_port_that_nobody_has_refuses_the_connection() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((THERE, 0))
        port = taken.getsockname()[1]

    async def main() -> None:
        driver = udp(HERE, port)
        async with asyncio.timeout(5), Stack([driver]) as near:
            with pytest.raises(ConnectionRefusedError):
                await open_connection(THERE, 5000, backend=near)
            assert driver.silent_peers() == []

    asyncio.run(main())


@linux
def test_an_error_about_a_datagram_becomes_one_about_its_segment(ends: Ends) -> None:
    here, there = ends
    there._sessions.table.outbox.clear()
    there._channel.close()  # gone without a word
    here.write_burst(0, [segment(here, there, payload=b"hello")])
    here.read_burst(0)
    (error,) = here.take_errors()
    assert (error.type, error.code) == (icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE)
    assert (error.flow, error.seq) == (segment(here, there).flow, 7)


def test_an_error_about_an_earlier_datagram_costs_none(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = ends
    send, waiting = here._channel.send, [ConnectionRefusedError()]

    def tell_first(octets: Buffer, size: Octets, tos: int, outer: Outer) -> None:
        if waiting:
            raise waiting.pop()
        send(octets, size, tos, outer)

    monkeypatch.setattr(here._channel, "send", tell_first)
    monkeypatch.setattr(here, "_take_outer_errors", lambda: True)
    here.write_burst(0, [segment(here, there, payload=b"hello")])
    assert [one.length for one in arrivals(there)] == [5]
    assert here.counters.dropped == 0


def test_another_secret_is_a_silent_host() -> None:
    async def main() -> None:
        listening = udp(THERE)
        calling = udp(HERE, port_of(listening), secret=SECRET[::-1])
        quick = Settings(retries=1)
        async with Stack([listening]) as far, Stack([calling], quick) as near:
            await start_server(lambda *_: None, None, 5000, backend=far)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await open_connection(THERE, 5000, backend=near)
            assert listening.counters.strange >= 2
            assert listening.counters.opened == 0
            assert calling.silent_peers() == [ip_address(THERE)]

    asyncio.run(main())


STRANGE = {
    "an empty datagram": b"",
    "noise": bytes(range(200)),
    "another secret": Control(type=INIT, initiator_id=b"initiate").serialize(SECRET[::-1]),
}


@pytest.mark.parametrize("octets", STRANGE.values(), ids=STRANGE.keys())
def test_strangers_hear_nothing(octets: bytes) -> None:
    driver = udp(THERE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((HERE, 0))
        stranger.settimeout(0.05)
        for _ in range(3):
            stranger.sendto(octets, driver.outer)
        until = time.monotonic_ns() + SECOND
        while driver.counters.strange + driver.counters.unknown < 3:
            assert driver.read_burst(now := time.monotonic_ns()) == []
            assert now < until
        with pytest.raises(TimeoutError):
            stranger.recv(100)
    assert driver.next_timeout() is None
    assert list(driver._sessions.table.sessions()) == []
    driver.close()


def test_who_closes_says_so(ends: Ends) -> None:
    here, there = ends
    here.close()
    here.close()
    until: Nanos = time.monotonic_ns() + SECOND
    while not there.counters.closed:
        there.read_burst(now := time.monotonic_ns())
        assert now < until


def test_the_mtu_leaves_room_for_udp() -> None:
    driver = udp(HERE)
    assert driver.capabilities.mtu == 1500 - OVERHEAD == 1484
    driver.close()


def test_impossible_sockets() -> None:
    driver = udp(HERE)
    for options, complaint in (
        ({"port": port_of(driver)}, "is in use"),
        ({"interface": "no such"}, "there is no interface"),
    ):
        with pytest.raises(UsageError, match=complaint):
            udp(HERE, **options)
    with pytest.raises(UsageError, match="no interface of this machine has the address"):
        udp("192.0.2.77")
    driver.close()
