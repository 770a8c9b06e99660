from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from plait.addresses import IpAddress, Path
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.errors import UsageError
from plait.wire.segment import ACK, PSH, SYN, Segment
from plait.wire.tcp_options import Mss

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("netns")]

OURS = {4: ip_address("10.9.1.1"), 6: ip_address("fd09::1")}
KERNEL = {4: ip_interface("10.9.1.2/24"), 6: ip_interface("fd09::2/64")}
PORT = 8000
ISS = 1000
MSS = 1400


def spec(version: int = 4, *, offload: bool = True, name: str = "tun1") -> TunSpec:
    return TunSpec(name=name, local=(OURS[version],), peer=(KERNEL[version],), offload=offload)


def listener(version: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((str(KERNEL[version].ip), PORT))
    sock.listen()
    return sock


def flow_out(version: int) -> bytes:
    return Path(OURS[version], 9000, kernel_address(version), PORT).flow_out()


def kernel_address(version: int) -> IpAddress:
    return KERNEL[version].ip


def await_segment(tun: Tun, wanted: Callable[[Segment], bool]) -> Segment:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        select.select([tun], [], [], 0.5)
        for segment in tun.read_burst(0):
            if wanted(segment):
                return segment
    raise AssertionError("the kernel did not send it")


def shake_hands(tun: Tun, version: int) -> int:
    """Open a connection to the kernel by hand and return its sequence number."""
    syn = Segment(flow_out(version), ISS, 0, SYN, 65535)
    syn.options = (Mss(MSS),)
    tun.write_burst(0, [syn])
    answer = await_segment(tun, lambda segment: segment.flags == SYN | ACK)
    assert answer.ack == ISS + 1
    tun.write_burst(0, [Segment(flow_out(version), ISS + 1, answer.seq + 1, ACK, 65535)])
    return answer.seq + 1


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("offload", [True, False], ids=["offload", "plain"])
def test_octets_cross_both_ways(version: int, offload: bool) -> None:
    tun = Tun(spec(version, offload=offload))
    try:
        assert tun.capabilities.checksum is offload
        with listener(version) as listening:
            ack = shake_hands(tun, version)
            accepted, name = listening.accept()
            with accepted:
                assert name[:2] == (str(OURS[version]), 9000)
                data = os.urandom(20 * MSS)
                sent = Segment(flow_out(version), ISS + 1, ack, ACK | PSH, 65535)
                sent.payload = (data[:1000], memoryview(data)[1000:])
                sent.length = len(data)
                sent.segment_size = MSS
                tun.write_burst(0, [sent])
                accepted.settimeout(5)
                received = b""
                while len(received) < len(data):
                    received += accepted.recv(65536)
                assert received == data
                accepted.sendall(data)
                first = await_segment(tun, lambda segment: segment.length > 0)
                assert b"".join(first.payload) == data[: first.length]
                if offload:
                    assert 0 < first.segment_size < first.length
        assert tun.counters.dropped == 0
    finally:
        tun.close()


def test_everything_made_is_removed() -> None:
    tun = Tun(spec())
    assert "tun1" in dict((name, index) for index, name in socket.if_nameindex())  # noqa: C402
    tun.close()
    tun.close()
    assert "tun1" not in [name for _, name in socket.if_nameindex()]


def test_the_device_is_as_the_spec_says() -> None:
    tun = Tun(TunSpec.parse("tun1,local=10.9.1.1,peer=10.9.1.2/24+10.9.3.2/28,mtu=1400"))
    with IPRoute() as route:
        index = socket.if_nametoindex("tun1")
        (link,) = route.get_links(index)
        assert link["state"] == "up"
        assert link.get_attr("IFLA_MTU") == 1400
        addresses = {
            (message.get_attr("IFA_ADDRESS"), message["prefixlen"])
            for message in route.get_addr(index=index)
        }
    assert addresses == {("10.9.1.2", 24), ("10.9.3.2", 28)}
    tun.close()


def test_ipv6_is_usable_at_once_and_quiet() -> None:
    tun = Tun(spec(6))
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("fd09::2", 0))  # fails while duplicate detection goes on
    time.sleep(0.1)
    assert tun.read_burst(0) == []
    tun.close()


def test_what_is_not_tcp_is_counted() -> None:
    tun = Tun(spec())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"hello", (str(OURS[4]), 9))
    select.select([tun], [], [], 1)
    assert tun.read_burst(0) == []
    assert tun.counters.malformed == 1
    tun.close()


def test_icmp_errors_come_apart() -> None:
    tun = Tun(spec())
    stray = Segment(Path(OURS[4], 9000, ip_address("10.77.0.1"), 1).flow_out(), 5, 0, SYN, 100)
    with IPRoute() as route, suppress(NetlinkError):
        route.link("set", index=socket.if_nametoindex("lo"), state="up")
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write("1")
    tun.write_burst(0, [stray])
    deadline = time.monotonic() + 2
    errors = tun.take_errors()
    while not errors and time.monotonic() < deadline:
        select.select([tun], [], [], 0.2)
        assert tun.read_burst(0) == []
        errors = tun.take_errors()
    assert [(error.flow, error.seq) for error in errors] == [(stray.flow, 5)]
    tun.close()


def test_a_device_that_is_down_drops() -> None:
    tun = Tun(spec())
    with IPRoute() as route:
        route.link("set", index=socket.if_nametoindex("tun1"), state="down")
    tun.write_burst(0, [Segment(flow_out(4), 1, 0, SYN, 1)])
    assert tun.counters.dropped == 1
    tun.close()


def test_a_device_that_is_deleted_raises() -> None:
    tun = Tun(spec())
    with IPRoute() as route:
        route.link("del", index=socket.if_nametoindex("tun1"))
    with pytest.raises(OSError, match="bad state"):
        tun.read_burst(0)
    tun.close()


def test_one_that_was_there_stays_as_it_was() -> None:
    with IPRoute() as route:
        route.link("add", ifname="tun1", kind="tuntap", mode="tun")
        index = socket.if_nametoindex("tun1")
        route.addr("add", index=index, address="10.9.5.2", prefixlen=24)
        tun = Tun(spec())
        tun.close()
        assert socket.if_nametoindex("tun1") == index
        addresses = [
            message.get_attr("IFA_ADDRESS")
            for message in route.get_addr(index=index, family=socket.AF_INET)
        ]
    assert addresses == ["10.9.5.2"]


def test_a_busy_name_is_refused_in_one_line() -> None:
    tun = Tun(spec())
    with pytest.raises(UsageError, match="tun1 is in use: choose another name"):
        Tun(spec())
    tun.close()


def test_the_name_of_another_interface_is_refused() -> None:
    with pytest.raises(UsageError, match="choose a name"):
        Tun(spec(name="lo"))


def test_a_failure_leaves_nothing_behind() -> None:
    with pytest.raises(UsageError, match=r"TUN tun1: the kernel does not give it ff02::1/64"):
        Tun(TunSpec.parse("tun1,local=10.9.1.1,peer=10.9.1.2/24+ff02::1/64"))
    assert "tun1" not in [name for _, name in socket.if_nameindex()]


def test_a_device_of_several_queues_follows_who_wrote() -> None:
    queues = [Tun(replace(spec(), multi_queue=True)) for _ in range(2)]
    syn = Segment(flow_out(4), ISS, 0, SYN, 65535)
    syn.options = (Mss(MSS),)
    try:
        with listener(4) as listening:
            queues[0].write_burst(0, [syn])
            (answer,) = [one for queue in queues for one in queue.read_burst(0)]
            ack = Segment(flow_out(4), ISS + 1, answer.seq + 1, ACK, 65535)
            queues[0].write_burst(0, [ack])
            accepted, _ = listening.accept()
            for writer, other in (queues, queues[::-1], queues):
                writer.write_burst(0, [ack])
                accepted.send(b"one")
                await_segment(writer, lambda segment: segment.length == 3)
                assert not other.read_burst(0)
            accepted.close()
    finally:
        for queue in queues:
            queue.close()


@pytest.mark.parametrize("several", [True, False])
def test_queues_do_not_mix(several: bool) -> None:
    tun = Tun(replace(spec(), multi_queue=several))
    try:
        with pytest.raises(UsageError, match="several queues"):
            Tun(replace(spec(), multi_queue=not several))
    finally:
        tun.close()
