"""Two hosts of plait behind NATs: the client has two uplinks, each with a NAT of its own."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_address, ip_interface

import pytest
from interop.lab import until

from plait.aio.connection import Connection, connection_of
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.drivers.udp import Udp, UdpSpec
from plait.drivers.udp.format import OVERHEAD
from plait.drivers.udp.table import is_virtual
from plait.host.settings import Settings
from plait.linux.netns import Namespace, veth_pair
from plait.units import MILLISECOND, SECOND

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(shutil.which("nft") is None, reason="no nft: install nftables"),
]

SECRET = b"of all the hosts behind the NATs"
PUBLIC = "203.0.113.1"
"""Where the server's NAT is called."""

CONTROL = "@th,64,32 0"
"""Of nft: a UDP payload that begins with four zero octets."""


class Nats:
    """Client, two NATs, and a NAT before the server."""

    def __init__(self, kept: ExitStack, count: int) -> None:
        self.client = kept.enter_context(Namespace())
        self.server = kept.enter_context(Namespace())
        self.front = kept.enter_context(Namespace())
        self.nats = [kept.enter_context(Namespace()) for _ in range(count)]
        self._join(self.server, "s", "10.9.0.2/24", self.front, "in", "10.9.0.1/24")
        sh(self.server, "ip route add default via 10.9.0.1")
        for number in range(2):
            nat, inner = self.nats[number % count], f"10.1.{number}"
            uplink = f"in{number}"
            self._join(self.client, f"c{number}", f"{inner}.2/24", nat, uplink, f"{inner}.1/24")
            sh(self.client, f"ip route add default via {inner}.1 metric {number + 1}")
        for number, nat in enumerate(self.nats):
            near, far = f"203.0.113.{16 * number + 2}/28", f"203.0.113.{16 * number + 1}/28"
            self._join(nat, "out", near, self.front, f"out{number}", far)
            sh(nat, f"ip route add default via {ip_interface(far).ip}")
            sh(nat, "nft add table ip nat")
            sh(nat, "nft add chain ip nat out { type nat hook postrouting priority 100 ; }")
            sh(nat, "nft add rule ip nat out oifname out masquerade")
        sh(self.front, "nft add table ip nat")
        sh(self.front, "nft add chain ip nat in { type nat hook prerouting priority -100 ; }")
        sh(self.front, "nft add rule ip nat in udp dport 8684 dnat to 10.9.0.2")
        sh(self.front, "nft add chain ip nat pass { type filter hook forward priority 0 ; }")
        for router in (self.front, *self.nats):
            router.set_sysctl("net.ipv4.ip_forward", 1)

    def rebind(self, number: int, address: str) -> None:
        """Give a NAT another public address: every mapping it had is gone."""
        nat = self.nats[number]
        sh(nat, "ip address flush dev out")
        sh(nat, f"ip address add {address}/28 dev out")
        sh(nat, f"ip route add default via 203.0.113.{16 * number + 1}")

    def lose(self, number: int) -> None:
        """Drop all that comes by a NAT, without a word."""
        sh(self.front, f"nft add rule ip nat pass iifname out{number} drop")

    def stacks(self) -> tuple[Stack, Stack]:
        """Return the client's stack and the server's."""
        settings = Settings(
            scheduler="round-robin", bad_path_timeouts=3, failback_probe=100 * MILLISECOND
        )
        drivers = [self._driver(self.client, f"10.1.{n}.2", f"c{n}") for n in range(2)]
        listening = self._driver(self.server, "10.9.0.2", "s", port=8684)
        return Stack(drivers, settings), Stack([listening], settings)

    @staticmethod
    def _driver(space: Namespace, address: str, interface: str, port: int = 0) -> Udp:
        spec = UdpSpec(
            local=ip_address(address), secret=SECRET, port=port, interface=interface,
            keep_alive=2 * SECOND,
        )  # fmt: skip
        return space.run(lambda: Udp(spec))

    @staticmethod
    def _join(
        one: Namespace, name: str, address: str, other: Namespace, its: str, there: str
    ) -> None:
        veth_pair(one, name, other, its)
        one.add_address(name, ip_interface(address))
        other.add_address(its, ip_interface(there))


def sh(space: Namespace, line: str) -> str:
    words = line.split()
    done = space.run(lambda: subprocess.run(words, capture_output=True, text=True, check=False))
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


@pytest.fixture
def nats(request: pytest.FixtureRequest) -> Iterator[Nats]:
    """Two NATs, or as many as the test asks for."""
    with ExitStack() as kept:
        yield Nats(kept, getattr(request, "param", 2))


class Upload:
    """A stream from the client whose octets the server sums up."""

    def __init__(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        self.connection = connection
        self.arrived = 0
        self.sum: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._writer = writer
        self._sent = 0
        self._dice = random.Random(8684)
        self._hash = hashlib.sha256()

    async def send(self, octets: int) -> None:
        """Send so many more, and wait until they have arrived."""
        data = self._dice.randbytes(octets)
        self._hash.update(data)
        self._sent += octets
        self._writer.write(data)
        await until(lambda: self.arrived == self._sent)

    async def finish(self) -> None:
        """Compare what arrived with what was sent."""
        self._writer.write_eof()
        assert await self.sum == self._hash.hexdigest()


@asynccontextmanager
async def upload(client: Stack, server: Stack, subflows: int) -> AsyncIterator[Upload]:
    """Connect, wait for so many subflows, and close everything afterwards."""
    made: asyncio.Future[Upload] = asyncio.get_running_loop().create_future()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sending = await made
        digest = hashlib.sha256()
        while data := await reader.read(1 << 18):
            digest.update(data)
            sending.arrived += len(data)
        sending.sum.set_result(digest.hexdigest())
        writer.close()

    try:
        await start_server(count, None, 5000, backend=server)
        _, writer = await open_connection(PUBLIC, 5000, backend=client)
        sending = Upload(connection_of(writer), writer)
        made.set_result(sending)
        await sending.send(100_000)
        await until(lambda: len(sending.connection.subflows()) >= subflows)
        yield sending
        writer.close()
    finally:
        await client.close(0.2)
        await server.close(0.2)


def play(nats: Nats, scenario: Callable[[Upload, Udp], Awaitable[None]], subflows: int = 2) -> None:
    """Run a scenario with an upload and the server's driver."""

    async def main() -> None:
        client, server = nats.stacks()
        async with asyncio.timeout(25), upload(client, server, subflows) as sending:
            (driver,) = server._drivers
            assert isinstance(driver, Udp)
            await scenario(sending, driver)

    nats.client.run(lambda: asyncio.run(main()))


def test_both_paths_carry_data_and_survive_rebinding_and_loss(nats: Nats) -> None:
    async def scenario(sending: Upload, server: Udp) -> None:
        def carried() -> dict[str, int]:
            subflows = sending.connection.info.subflows
            return {str(one.path.local): one.tcp.bytes_sent for one in subflows}

        while min(carried().values()) < 500_000:
            await sending.send(1_000_000)
        assert carried().keys() == {"10.1.0.2", "10.1.1.2"}

        before = sending.arrived
        on_its_way = asyncio.ensure_future(sending.send(8_000_000))
        await until(lambda: sending.arrived > before + 1_000_000)
        nats.rebind(0, "203.0.113.3")
        assert not on_its_way.done()
        await on_its_way
        await sending.send(1_000_000)
        await until(lambda: server.counters.moved == 1)
        nats.lose(1)
        await sending.send(2_000_000)
        await sending.finish()
        assert server.counters.opened == 2
        assert server.counters.strange == server.counters.unknown == 0

    play(nats, scenario)


def test_without_a_proof_nothing_moves(nats: Nats) -> None:
    """The only path is rebound, and nothing passes until control messages do."""

    async def scenario(sending: Upload, server: Udp) -> None:
        nats.lose(1)
        await sending.send(100_000)
        sh(nats.front, f"nft insert rule ip nat pass {CONTROL} drop")
        nats.rebind(0, "203.0.113.3")
        stalled = asyncio.ensure_future(sending.send(1_000_000))
        await asyncio.sleep(1.5)
        assert sending.arrived == 200_000
        assert server.counters.moved == 0
        assert server.counters.misaddressed > 0

        sh(nats.front, "nft flush chain ip nat pass")
        nats.lose(1)
        await stalled
        assert server.counters.moved == 1
        await sending.finish()

    play(nats, scenario)


@pytest.mark.parametrize("nats", [1], indirect=True, ids=["one NAT"])
def test_two_paths_through_one_nat_have_addresses_of_their_own(nats: Nats) -> None:
    async def scenario(sending: Upload, server: Udp) -> None:
        await sending.send(500_000)
        opened = [notice for notice in server.take_notices() if notice.what == "opened"]
        assert {notice.outer[0] for notice in opened} == {"203.0.113.2"}
        assert [is_virtual(notice.remote) for notice in opened] == [False, True]
        nats.rebind(0, "203.0.113.3")
        await sending.send(500_000)
        await until(lambda: server.counters.moved == 2)
        await sending.finish()

    play(nats, scenario)


def test_a_path_that_takes_less_is_learnt_of_by_icmp(nats: Nats) -> None:
    async def scenario(sending: Upload, _: Udp) -> None:
        mtus = {str(o.path.local): o.tcp.pmtu for o in sending.connection.info.subflows}
        assert mtus["10.1.0.2"] == 1300 - OVERHEAD

    sh(nats.nats[0], "ip link set out mtu 1300")
    nats.lose(1)
    play(nats, scenario, subflows=1)
