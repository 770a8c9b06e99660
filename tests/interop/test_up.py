"""`plait up` and `plait down` on a machine with two uplinks."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest
from interop.shell import load
from interop.uplinks import SERVER, SERVER_V6, Machines, changes, machines

from plait.drivers.nft import run_nft
from plait.errors import UsageError
from plait.uplinks import changing, plan, steps
from plait.uplinks.journal import load as load_journal
from plait.uplinks.steps import Command, read_sysctl

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(shutil.which("nft") is None, reason="no nft: install nftables"),
]

DATA = Random(9).randbytes(3 << 20)
SECONDS = 20


@pytest.fixture
def world() -> Iterator[Machines]:
    with machines() as made:
        yield made


def shaped(world: Machines) -> None:
    for number in range(2):
        line = f"tc qdisc add dev e{number} root tbf rate 20mbit burst 32k latency 50ms"
        world.sh(world.client, line)


def sent(world: Machines) -> list[int]:
    """Return the octets that each uplink has sent."""
    told = [json.loads(world.sh(world.client, f"ip -j -s link show e{n}"))[0] for n in range(2)]
    return [int(one["stats64"]["tx"]["bytes"]) for one in told]


def take_all(listener: socket.socket) -> bytes:
    """Accept a connection, read to its end and answer."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(SECONDS)
        octets = bytearray()
        while some := connection.recv(1 << 16):
            octets += some
        connection.sendall(b"back")
    return bytes(octets)


def transfer(world: Machines, address: str, meanwhile: str = "", file: str = "") -> list[int]:
    """Send the data by plain `plait nc` and return what each uplink has carried of it."""
    before = sent(world)
    words = ("--json", file) if file else ()
    with world.listen() as listener, ThreadPoolExecutor(2) as pool:
        served = pool.submit(take_all, listener)
        client = world.start(world.client, "nc", address, "5001", *words)
        called = pool.submit(client.communicate, DATA, timeout=SECONDS)
        if meanwhile:
            while min(sent(world)) < len(DATA) // 5:
                time.sleep(0.02)
            world.sh(world.gateways[0] if "near" in meanwhile else world.client, meanwhile)
        assert called.result() == (b"back", b"")
        assert served.result() == DATA
    return [after - one for after, one in zip(sent(world), before, strict=True)]


@pytest.mark.parametrize("address", [SERVER, SERVER_V6], ids=["IPv4", "IPv6"])
def test_plain_nc_uses_both_uplinks(world: Machines, address: str, tmp_path: Path) -> None:
    before = world.state()
    shaped(world)
    world.up()
    carried = transfer(world, address, file=str(tmp_path / "out.json"))
    assert min(carried) > len(DATA) // 4
    assert len(load(tmp_path / "out.json")["subflows"]) == 2
    assert "MPTcpExtMPJoinAckRx             1" in world.sh(world.server, "nstat -as MPTcpExt*")
    world.down()
    for number in range(2):
        world.sh(world.client, f"tc qdisc delete dev e{number} root")
    assert changes(before, world.state()) == {}


CUTS = {
    "the uplink goes down": "ip link set e0 down",
    "its gateway is cut": "ip link set near down",
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_a_connection_outlives_an_uplink(world: Machines, cut: str) -> None:
    shaped(world)
    world.up()
    carried = transfer(world, SERVER, cut)
    assert min(carried) > 50_000


def test_ipv6_is_forwarded_on_older_kernels_too(
    world: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(name: str) -> str | None:
        return None if "force_forwarding" in name else read_sysctl(name)

    monkeypatch.setattr(plan, "read_sysctl", older)
    world.client.set_sysctl("net.ipv6.conf.e1.forwarding", 1)
    world.client.set_sysctl("net.ipv6.conf.e0.accept_ra", 1)
    before = world.state()
    world.up()
    state = world.state()
    assert state["/proc/sys/net/ipv6/conf/all/forwarding"] == "1\n"
    assert state["/proc/sys/net/ipv6/conf/e0/accept_ra"] == "2\n"
    assert min(transfer(world, SERVER_V6)) > 0
    world.down()
    assert changes(before, world.state()) == {}


def test_an_uplink_without_a_gateway_is_used(world: Machines) -> None:
    world.gateways[1].set_sysctl("net.ipv4.conf.near.proxy_arp", 1)
    world.sh(world.client, "ip route replace default dev e1 metric 1")
    shaped(world)
    world.up()
    assert min(transfer(world, SERVER)) > len(DATA) // 5


def test_two_gateways_of_one_interface_are_two_uplinks(world: Machines, tmp_path: Path) -> None:
    world.sh(world.gateways[0], "ip address add 10.1.0.9/24 dev near")
    world.sh(world.client, "ip route add default via 10.1.0.9 metric 5")
    world.up("e0")
    transfer(world, SERVER, file=str(tmp_path / "out.json"))
    assert len(load(tmp_path / "out.json")["subflows"]) == 2


def test_without_up_there_is_one_clear_line(world: Machines) -> None:
    done = world.plait("nc", SERVER, "5001", check=False)
    assert (done.stdout, done.returncode, done.stderr.count("\n")) == ("", 2, 1)
    assert "plait up" in done.stderr


def test_a_firewall_in_the_way_is_told(world: Machines) -> None:
    chain = "{ type filter hook forward priority 0; policy drop; }"
    world.client.run(lambda: run_nft(f"add table ip other; add chain ip other every {chain}"))
    done = world.plait("up", "--dry-run")
    assert "the chain ip other every drops forwarded packets" in done.stderr


def test_nobody_reading_takes_it_back(world: Machines) -> None:
    before = world.state()

    def broken(_: Command) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        world.client.run(lambda: changing.go_up((), 1, None, broken))
    assert changes(before, world.state()) == {}


def test_a_listener_behind_the_uplinks_is_refused(world: Machines) -> None:
    world.up("e0")
    done = world.plait("nc", "-l", "5001", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--packet" in done.stderr


def test_slots_run_out_in_one_clear_line(world: Machines) -> None:
    world.up("e0", slots=2)
    with world.listen() as listener:
        accepted, running = [], []
        for _ in range(2):
            running.append(world.start(world.client, "nc", SERVER, "5001"))
            accepted.append(listener.accept()[0])
        status = json.loads(world.plait("up", "--status", "--json").stdout)
        assert [slot["state"] for slot in status["slots"]] == ["in use", "in use"]
        third = world.plait("nc", SERVER, "5001", check=False)
        assert (third.returncode, third.stderr.count("\n")) == (2, 1)
        assert "--slots" in third.stderr
        assert "its connections end" in world.plait("down").stderr
        for one in running:
            assert one.communicate(timeout=SECONDS) == (b"", b"plait nc: no route to host\n")
            assert one.returncode == 1
        for connection in accepted:
            connection.close()


def test_the_owner_needs_no_privilege(world: Machines) -> None:
    poor = ("setpriv", "--bounding-set=-all")
    for owner, status in ((0, 1), (12345, 2)):
        world.up(owner=owner)
        done = world.plait("nc", SERVER, "5001", check=False, before=poor)
        assert done.returncode == status  # 1: nobody listens there, hence it was asked
        assert ("refused" in done.stderr) is (owner == 0)
        world.down()


def test_up_twice_and_down_twice_say_so(world: Machines) -> None:
    before = world.state()
    assert world.plait("up", "--status", check=False).returncode == 1
    world.plait("up")
    middle = world.state()
    again = world.plait("up", check=False)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "is up" in again.stderr
    assert changes(middle, world.state()) == {}
    world.plait("down")
    assert changes(before, world.state()) == {}
    second = world.plait("down")
    assert (second.stdout, second.returncode) == ("", 0)
    assert "not up" in second.stderr


def test_dry_run_prints_the_commands_of_up_and_changes_nothing(world: Machines) -> None:
    before = world.state()
    planned = world.plait("up", "--dry-run").stdout
    assert changes(before, world.state()) == {}
    assert world.plait("up").stdout == planned
    assert "ip rule add from" in planned


def numbered(state: dict[str, str]) -> dict[str, str]:
    """Return a state without the numbers of interfaces, of which new ones get new ones."""
    return {name: re.sub(r"(?m)^\d+: ", "", text) for name, text in state.items()}


def test_the_printed_commands_do_the_same(world: Machines) -> None:
    planned = world.plait("up", "--dry-run").stdout
    world.up()
    by_plait = numbered(world.state())
    world.down()
    script = f"set -e\nsysctl() {{ echo ${{2#*=}} >/proc/sys/${{2%%=*}}; }}\n{planned}"
    world.client.run(lambda: subprocess.run(["bash", "-c", script], check=True))
    assert changes(by_plait, numbered(world.state())) == {}


def test_down_completes_without_the_uplink(world: Machines) -> None:
    world.up()
    world.sh(world.client, "ip link delete e1")
    done = world.plait("down")
    assert done.stderr == ""
    told = "\n".join(world.state().values())
    assert "plait" not in told
    assert "lookup 70" not in told


def count_steps(world: Machines, *uplinks: str) -> int:
    return len(world.client.run(lambda: changing.prepare(uplinks, 1, None))[1])


class Killed(BaseException):
    """Stands for SIGKILL: nothing is taken back."""


def stop_at(world: Machines, number: int, *, after: bool) -> None:
    """Go up until a step is about to be made, or just was, and then no further."""
    left = number

    def perform(command: Command) -> None:
        nonlocal left
        left -= 1
        if not left and not after:
            raise Killed
        made(command)
        if not left:
            raise Killed

    made, steps.perform = steps.perform, perform
    taken_back, changing.take_back = changing.take_back, lambda *_: None
    try:
        with pytest.raises(Killed):
            world.up("e0")
    finally:
        steps.perform, changing.take_back = made, taken_back


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_step_down_leaves_nothing(world: Machines, after: bool) -> None:
    before = world.state()
    for number in range(1, count_steps(world, "e0") + 1):
        stop_at(world, number, after=after)
        with pytest.raises(UsageError, match="cut short"):
            world.up()
        assert world.down()
        assert changes(before, world.state()) == {}, number
    assert world.client.run(load_journal) is None


def test_down_can_be_killed_too(world: Machines) -> None:
    before = world.state()
    for number in (1, 5, 9, 14):
        world.up()
        left = number

        def done(_: Command) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed

        with pytest.raises(Killed):
            world.client.run(lambda: changing.go_down(done))
        world.down()
        assert changes(before, world.state()) == {}, number


HARNESS = """
import os, signal, sys
from plait.uplinks import steps
made, left = steps.perform, int(sys.argv[2])
def perform(command):
    global left
    made(command)
    left -= 1
    if not left:
        os.kill(os.getpid(), int(sys.argv[1]))
steps.perform = perform
from plait.cli.main import run
sys.exit(run(["up"]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals_leave_nothing(world: Machines, number: signal.Signals) -> None:
    before = world.state()
    count = count_steps(world)
    for at in (2, count - 3)[-1 if number == signal.SIGINT else 0 :]:
        words = [sys.executable, "-c", HARNESS, str(int(number)), str(at)]
        run = partial(subprocess.run, words, capture_output=True, check=False, text=True)
        done = world.client.run(run)
        assert done.returncode in {-number, 128 + number}
        assert "Traceback" not in done.stderr
        if number == signal.SIGKILL:
            assert world.state() != before
            world.down()
        assert changes(before, world.state()) == {}


@pytest.mark.parametrize("at", [1, 9, 20, -1])
def test_a_refused_step_takes_back_those_before(world: Machines, at: int) -> None:
    before = world.state()
    left = at % (count_steps(world) + 1)

    def perform(command: Command) -> None:
        nonlocal left
        left -= 1
        made(command if left else ("ip", "link", "set", "nowhere", "up"))

    made, steps.perform = steps.perform, perform
    try:
        with pytest.raises(UsageError, match="nowhere"):
            world.up()
    finally:
        steps.perform = made
    assert changes(before, world.state()) == {}
    assert world.client.run(load_journal) is None


def test_forwarding_opens_nothing_else(world: Machines) -> None:
    """Who sends packets for others to an uplink gets none through, as before."""
    world.up()
    world.sh(world.gateways[0], "ip route add 10.2.0.1/32 via 10.1.0.2")
    world.sh(world.gateways[1], "ip route add 10.1.0.0/24 via 10.2.0.2")

    def passes() -> bool:
        with suppress(TimeoutError), socket.create_connection(("10.2.0.1", 7), 0.5):
            return True
        return False

    with world.gateways[1].run(lambda: socket.create_server(("10.2.0.1", 7))):
        assert not world.gateways[0].run(passes)
        world.sh(world.client, "nft delete table inet plait")
        assert world.gateways[0].run(passes)


def test_nobody_outside_reaches_a_stack(world: Machines) -> None:
    """A neighbor of an uplink may know the private address, and send packets there."""
    world.up()
    world.sh(world.gateways[0], "ip route add 10.201.0.0/24 via 10.1.0.2")

    def knock() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knocking:
            knocking.sendto(b"", ("10.201.0.2", 9))

    def arrived() -> int:
        """Return how many packets went to the device, which nobody reads."""
        (told,) = json.loads(world.sh(world.client, "ip -j -s link show plait0"))
        return int(told["stats64"]["tx"]["packets"] + told["stats64"]["tx"]["dropped"])

    before = arrived()
    world.gateways[0].run(knock)
    time.sleep(0.1)
    assert arrived() == before
    world.sh(world.client, "nft delete table inet plait")
    world.gateways[0].run(knock)
    time.sleep(0.1)
    assert arrived() == before + 1
