"""The packet driver on a virtual cable, with the kernel's Multipath TCP at the other end."""

from __future__ import annotations

import asyncio
import errno
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from ipaddress import ip_address, ip_interface
from random import Random

import pytest
from interop.shell import PLAIT

from plait.addresses import Path
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.drivers import packet
from plait.drivers.packet import PacketDriver
from plait.drivers.packet_spec import PacketSpec
from plait.errors import UsageError
from plait.host.settings import Settings
from plait.linux.mptcp_sockets import listen, make_socket
from plait.linux.netns import Namespace, veth_pair
from plait.linux.socket_options import SocketOptions
from plait.linux.sockopts import is_mptcp
from plait.wire.segment import ACK, Segment

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(shutil.which("nft") is None, reason="no nft: install nftables"),
]

HERE, THERE = ("10.1.0.2", "fd01::2"), ("10.1.0.1", "fd01::1")
OWN = ("10.1.0.7/24", "fd01::7/64")
PORT = 61_001
DATA = Random(5).randbytes(1 << 20)
SECONDS = 15


@dataclass
class Cable:
    """The stack's namespace, where the kernel has addresses on e0, and that of its peer."""

    here: Namespace
    there: Namespace

    def sh(self, namespace: Namespace, line: str) -> str:
        done = namespace.run(
            lambda: subprocess.run(line.split(), capture_output=True, text=True, check=True)
        )
        return done.stdout

    def run(self, spec: str, scenario: Callable[[Stack], Awaitable[None]]) -> None:
        """Run a scenario with a stack on the interface."""
        parsed = PacketSpec.parse(spec)
        settings = Settings(local_ports=f"{parsed.ports.start}-{parsed.ports.stop - 1}")

        async def main() -> None:
            async with asyncio.timeout(SECONDS), Stack([PacketDriver(parsed)], settings) as stack:
                await scenario(stack)

        self.here.run(lambda: asyncio.run(main()))

    def listen(self) -> socket.socket:
        return self.there.run(lambda: listen(None, PORT, SocketOptions(mptcp=True)))

    def connect(self, address: str) -> socket.socket:
        """Return a socket of the peer's that is connected."""

        def open_socket() -> socket.socket:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = make_socket(family, SocketOptions(mptcp=True))
            made.settimeout(SECONDS)
            made.connect((address, PORT))
            return made

        return self.there.run(open_socket)


@pytest.fixture
def cable() -> Iterator[Cable]:
    with Namespace() as here, Namespace() as there:
        veth_pair(here, "e0", there, "e1")
        for number in range(2):
            length = 64 if number else 24
            here.add_address("e0", ip_interface(f"{HERE[number]}/{length}"))
            there.add_address("e1", ip_interface(f"{THERE[number]}/{length}"))
        for namespace in (here, there):
            namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
        yield Cable(here, there)


def echo(connection: socket.socket) -> bool:
    """Read to the end, answer with a digest; return whether it was Multipath TCP."""
    connection.settimeout(SECONDS)
    multipath = is_mptcp(connection)
    digest = sha256()
    while octets := connection.recv(1 << 16):
        digest.update(octets)
    connection.sendall(digest.digest())
    connection.close()
    return multipath


def accept_and_echo(listener: socket.socket) -> bool:
    listener.settimeout(SECONDS)
    return echo(listener.accept()[0])


async def call(stack: Stack, address: str, *, size: int = len(DATA)) -> bytes:
    """Send data to the peer and return what it answers."""
    reader, writer = await open_connection(address, PORT, backend=stack)
    writer.write(DATA[:size])
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def without_offload(cable: Cable) -> None:
    for namespace, name in ((cable.here, "e0"), (cable.there, "e1")):
        cable.sh(namespace, f"ethtool -K {name} tso off gso off gro off tx off rx off")


SPECS = {"own": "e0,local={}", "shared": "e0,shared"}


@pytest.mark.parametrize("offload", [True, False], ids=["offload", "no offload"])
@pytest.mark.parametrize("version", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_the_stack_connects(cable: Cable, spec: str, version: int, offload: bool) -> None:
    if not offload:
        without_offload(cable)

    async def scenario(stack: Stack) -> None:
        with cable.listen() as listener:
            served = asyncio.create_task(asyncio.to_thread(accept_and_echo, listener))
            assert await call(stack, THERE[version]) == sha256(DATA).digest()
            assert await served

    cable.run(spec.format(OWN[version]), scenario)


@pytest.mark.parametrize("version", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_the_stack_listens(cable: Cable, spec: str, version: int) -> None:
    address = HERE[version] if "shared" in spec else OWN[version].partition("/")[0]

    async def scenario(stack: Stack) -> None:
        received: asyncio.Queue[bytes] = asyncio.Queue()

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.put_nowait(await reader.read())
            writer.write(DATA)
            writer.close()

        def talk() -> tuple[bytes, bool]:
            with cable.connect(address) as made:
                made.sendall(DATA)
                made.shutdown(socket.SHUT_WR)
                octets = b""
                while some := made.recv(1 << 16):
                    octets += some
                return octets, is_mptcp(made)

        await start_server(on_connection, None, PORT, backend=stack)
        answer, multipath = await asyncio.to_thread(talk)
        assert (answer == DATA, await received.get() == DATA, multipath) == (True, True, True)

    cable.run(spec.format(OWN[version]), scenario)


def tables(cable: Cable) -> list[str]:
    return cable.sh(cable.here, "nft list tables").split("\n")[:-1]


def test_a_shared_address_serves_the_kernel_too(cable: Cable) -> None:
    async def scenario(stack: Stack) -> None:
        own = cable.here.run(lambda: socket.create_server((HERE[0], 80)))
        with own, cable.listen() as listener:
            served = asyncio.create_task(asyncio.to_thread(accept_and_echo, listener))
            reader, writer = await open_connection(THERE[0], PORT, backend=stack)
            writer.write(b"before")

            def visit() -> bytes:
                with socket.create_connection((HERE[0], 80), SECONDS) as made:
                    with own.accept()[0] as accepted:
                        accepted.sendall(b"kernel")
                    return made.recv(6)

            assert await asyncio.to_thread(cable.there.run, visit) == b"kernel"
            writer.write(b"after")
            writer.write_eof()
            assert await reader.read() == sha256(b"beforeafter").digest()
            writer.close()
            await served
            assert len(tables(cable)) == 1

    cable.run("e0,shared", scenario)
    assert tables(cable) == []


def test_without_the_table_the_kernel_resets(cable: Cable) -> None:
    async def scenario(stack: Stack) -> None:
        (table,) = tables(cable)
        cable.sh(cable.here, f"nft delete {table}")
        with cable.listen(), pytest.raises((OSError, TimeoutError)):
            async with asyncio.timeout(3):
                await call(stack, THERE[0], size=100)

    cable.run("e0,shared", scenario)
    (line,) = (x for x in cable.sh(cable.here, "nstat -asz TcpOutRsts").splitlines() if "Rsts" in x)
    assert int(line.split()[1]) > 0


def test_an_address_that_somebody_has_is_refused(cable: Cable) -> None:
    for address in ("10.1.0.1/24", "fd01::1/64"):
        with pytest.raises(UsageError, match="in use on this link"):
            cable.here.run(partial(PacketDriver, PacketSpec.parse(f"e0,local={address}")))


def test_neighbors_learn_where_an_address_of_the_stack_is(cable: Cable) -> None:
    cable.there.set_sysctl("net.ipv4.conf.e1.arp_accept", 1)

    async def scenario(_: Stack) -> None:
        await asyncio.sleep(0)
        assert OWN[0].partition("/")[0] in cable.sh(cable.there, "ip neigh")

    cable.run(f"e0,local={OWN[0]}", scenario)


@pytest.mark.parametrize("forwarding", [0, 1])
def test_a_router_is_kept_from_passing_on_what_is_the_stacks(cable: Cable, forwarding: int) -> None:
    cable.here.set_sysctl("net.ipv4.ip_forward", forwarding)

    async def scenario(stack: Stack) -> None:
        assert len(tables(cable)) == forwarding
        with cable.listen() as listener:
            served = asyncio.create_task(asyncio.to_thread(accept_and_echo, listener))
            assert await call(stack, THERE[0]) == sha256(DATA).digest()
            assert await served

    cable.run(f"e0,local={OWN[0]}", scenario)


def test_a_connection_outlives_an_interface_that_was_down(cable: Cable) -> None:
    async def scenario(stack: Stack) -> None:
        with cable.listen() as listener:
            served = asyncio.create_task(asyncio.to_thread(accept_and_echo, listener))
            reader, writer = await open_connection(THERE[0], PORT, backend=stack)
            writer.write(b"before")
            await asyncio.sleep(0.1)
            cable.sh(cable.here, "ip link set e0 down")
            writer.write(b"meanwhile")
            await asyncio.sleep(0.3)
            cable.sh(cable.here, "ip link set e0 up")
            writer.write_eof()
            assert await reader.read() == sha256(b"beforemeanwhile").digest()
            writer.close()
            assert await served

    cable.run(f"e0,local={OWN[0]}", scenario)


def test_a_connection_outlives_a_lowered_mtu(cable: Cable) -> None:
    async def scenario(stack: Stack) -> None:
        with cable.listen() as listener:
            served = asyncio.create_task(asyncio.to_thread(accept_and_echo, listener))
            reader, writer = await open_connection(THERE[0], PORT, backend=stack)
            writer.write(b"before")
            await asyncio.sleep(0.1)
            cable.sh(cable.here, "ip link set e0 mtu 1000")
            cable.sh(cable.there, "ip link set e1 mtu 1000")
            writer.write(bytes(1400))  # which fitted
            writer.write_eof()
            async with asyncio.timeout(5):
                assert await reader.read() == sha256(b"before" + bytes(1400)).digest()
            writer.close()
            assert await served

    cable.run(f"e0,local={OWN[0]}", scenario)


def test_an_interface_that_goes_while_it_is_opened_is_one_clear_line(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise OSError(errno.ENETDOWN, "network is down")

    monkeypatch.setattr(packet, "claim", down)
    spec = PacketSpec.parse(f"e0,local={OWN[0]}")
    with pytest.raises(UsageError, match=r"e0: the interface cannot be used .network is down"):
        cable.here.run(lambda: PacketDriver(spec))


@pytest.mark.parametrize("down_before", [True, False])
def test_an_interface_that_goes_is_told(cable: Cable, down_before: bool) -> None:
    def look() -> None:
        driver.write_burst(0, [Segment(flow, 0, 0, ACK, 0)])
        assert driver.next_timeout() == 0
        driver.read_burst(0)

    flow = Path(ip_address("10.1.0.7"), 1, ip_address(THERE[0]), PORT).flow_out()
    driver = cable.here.run(lambda: PacketDriver(PacketSpec.parse(f"e0,local={OWN[0]}")))
    try:
        if down_before:
            cable.sh(cable.here, "ip link set e0 down")
            cable.here.run(look)  # it may come back
        cable.sh(cable.here, "ip link delete e0")
        with pytest.raises(OSError, match="gone") as raised:
            cable.here.run(look)
        assert raised.value.errno == errno.ENODEV
    finally:
        driver.close()


def plait(cable: Cable, *words: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    command = [*before, *PLAIT, *words]
    return cable.here.run(lambda: subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe))


def until(true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_table_outlives_its_process_for_long(cable: Cable, number: signal.Signals) -> None:
    waiting = plait(cable, "nc", "-l", str(PORT), "--packet", "e0,shared")
    until(lambda: len(tables(cable)) == 1)
    waiting.send_signal(number)
    waiting.communicate()
    (left,) = tables(cable) or [""]
    assert bool(left) is (number == signal.SIGKILL)
    spec = PacketSpec.parse("e0,shared")
    driver = cable.here.run(lambda: PacketDriver(spec))
    try:
        (own,) = tables(cable)
        assert own != left
        second = cable.here.run(lambda: PacketDriver(spec))
        assert own in tables(cable)
        cable.here.run(second.close)
    finally:
        cable.here.run(driver.close)
    assert tables(cable) == []


MISUSES: dict[str, tuple[str, str]] = {
    "no interface": ("e7,shared", "choose from e0"),
    "no Ethernet": ("lo,shared", "plait up"),
    "no address": ("e0", "local=A/LEN"),
    "the kernel's address": (f"e0,local={HERE[0]}/24", "shared"),
    "the kernel's ports": ("e0,shared,ports=32768-40000", "overlap"),
    "a port in use": ("e0,shared,ports=8080-8090", "port 8080"),
}


@pytest.mark.parametrize(("spec", "hint"), MISUSES.values(), ids=MISUSES.keys())
def test_misuse_is_refused(cable: Cable, spec: str, hint: str) -> None:
    with (
        cable.here.run(lambda: socket.create_server(("127.0.0.1", 8080))),
        pytest.raises(UsageError, match=hint),
    ):
        cable.here.run(lambda: PacketDriver(PacketSpec.parse(spec)))
    assert tables(cable) == []


def test_an_interface_that_is_down_is_refused(cable: Cable) -> None:
    cable.sh(cable.here, "ip link set e0 down")
    with pytest.raises(UsageError, match="is down"):
        cable.here.run(lambda: PacketDriver(PacketSpec.parse("e0,local=10.9.0.1/24")))


POOR = {
    "CAP_NET_RAW": (f"e0,local={OWN[0]}", "net_raw"),
    "CAP_NET_ADMIN": ("e0,shared", "net_admin"),
}


@pytest.mark.parametrize("privilege", POOR)
def test_a_missing_privilege_is_named_in_one_line(cable: Cable, privilege: str) -> None:
    spec, name = POOR[privilege]
    poor = ("setpriv", f"--bounding-set=-{name}")
    refused = plait(cable, "nc", THERE[0], str(PORT), "--packet", spec, before=poor)
    printed, complaint = refused.communicate(timeout=SECONDS)
    assert (printed, refused.returncode, complaint.count(b"\n")) == (b"", 2, 1)
    assert privilege in complaint.decode()
