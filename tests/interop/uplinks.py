"""A machine with two uplinks, a gateway behind each, and behind both a server."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_interface
from pathlib import Path

from interop.shell import PLAIT

from plait.linux.mptcp_sockets import listen
from plait.linux.netns import Namespace, veth_pair
from plait.linux.socket_options import SocketOptions
from plait.uplinks import changing
from plait.uplinks.steps import Command

SERVER = "192.0.2.2"
SERVER_V6 = "2001:db8:100::2"


class Machines:
    """The machine under test, `client`, with the uplinks e0 and e1; and the others."""

    def __init__(self, kept: ExitStack) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self.client = kept.enter_context(Namespace())
        self.server = kept.enter_context(Namespace())
        self.gateways = [kept.enter_context(Namespace()) for _ in range(2)]
        for namespace in (self.client, self.server, *self.gateways):
            namespace.set_sysctl("net.ipv6.conf.default.accept_dad", 0)
        for number, gateway in enumerate(self.gateways):
            self._join(number, gateway)
        for number in range(2):
            self.sh(self.client, f"ip route add default via 10.{number + 1}.0.1 metric {number}")
            self.sh(
                self.client,
                f"ip -6 route add default via fd0{number + 1}::1 dev e{number} metric {number + 1}",
            )
        self.client.set_sysctl("net.ipv4.conf.all.rp_filter", 1)
        self.client.set_sysctl("net.ipv4.conf.default.rp_filter", 1)
        self.server.set_sysctl("net.mptcp.blackhole_timeout", 0)
        self.server.set_mptcp_limits(subflows=8, add_addr_accepted=8)

    def _join(self, number: int, gateway: Namespace) -> None:
        """Put a gateway between an uplink and an interface of the server."""
        near, far = f"e{number}", f"s{number}"
        veth_pair(self.client, near, gateway, "near")
        veth_pair(self.server, far, gateway, "far")
        inner, inner_v6 = f"10.{number + 1}.0", f"fd0{number + 1}:"
        outer, outer_v6 = (("192.0.2", "2001:db8:100:"), ("198.51.100", "2001:db8:200:"))[number]
        for namespace, name, addresses in (
            (self.client, near, (f"{inner}.2/24", f"{inner_v6}:2/64")),
            (gateway, "near", (f"{inner}.1/24", f"{inner_v6}:1/64")),
            (gateway, "far", (f"{outer}.1/24", f"{outer_v6}:1/64")),
            (self.server, far, (f"{outer}.2/24", f"{outer_v6}:2/64")),
        ):
            for address in addresses:
                namespace.add_address(name, ip_interface(address))
        gateway.set_sysctl("net.ipv4.ip_forward", 1)
        gateway.set_sysctl("net.ipv6.conf.all.forwarding", 1)
        self.sh(self.server, f"ip route add {inner}.0/24 via {outer}.1")
        self.sh(self.server, f"ip -6 route add {inner_v6}:/64 via {outer_v6}:1")
        if number:
            self.sh(gateway, f"ip route add 192.0.2.0/24 via {outer}.2")
            self.sh(gateway, f"ip -6 route add 2001:db8:100::/64 via {outer_v6}:2")

    @staticmethod
    def sh(namespace: Namespace, line: str) -> str:
        """Return what a command line prints in a namespace."""
        return namespace.run(
            lambda: subprocess.run(line.split(), capture_output=True, text=True, check=True).stdout
        )

    def plait(
        self, *words: str, check: bool = True, before: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of plait on the machine."""
        command = [*before, *PLAIT, *words]
        return self.client.run(
            lambda: subprocess.run(
                command, capture_output=True, text=True, check=check, stdin=subprocess.DEVNULL
            )
        )

    def up(self, *uplinks: str, slots: int = 1, owner: int | None = None) -> None:
        """Do what `plait up` does, without the time it takes to start."""
        self.client.run(lambda: changing.go_up(uplinks, slots, owner, _ignore))

    def down(self) -> bool:
        """Do what `plait down` does."""
        return self.client.run(lambda: changing.go_down(_ignore))

    def start(self, namespace: Namespace, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of plait with pipes on all three streams."""
        pipe = subprocess.PIPE
        started = namespace.run(
            lambda: subprocess.Popen([*PLAIT, *words], stdin=pipe, stdout=pipe, stderr=pipe)
        )
        self._running.append(started)
        return started

    def listen(self) -> socket.socket:
        """Return a socket of the kernel's Multipath TCP that listens on the server.

        It has to stay open: Linux takes joins only on ports with a listener.
        """
        listener = self.server.run(lambda: listen(None, 5001, SocketOptions(mptcp=True)))
        listener.settimeout(20)
        return listener

    def finish(self) -> None:
        """End what still runs, and take back what may be left."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.down()

    def state(self) -> dict[str, str]:
        """Return all that `plait up` may touch, as the machine tells it, line by line."""
        told = {line: self.sh(self.client, line) for line in _QUESTIONS}
        return told | self.client.run(_sysctls)


def _ignore(command: Command) -> None:
    """Print nothing."""


_QUESTIONS = (
    "ip link",
    "ip address",
    "ip route show table all",
    "ip -6 route show table all",
    "ip rule",
    "ip -6 rule",
    "nft list ruleset",
)


def _sysctls() -> dict[str, str]:
    """Return every setting of IPv4 and IPv6 that can be read."""
    found = {}
    for path in (*Path("/proc/sys/net/ipv4").rglob("*"), *Path("/proc/sys/net/ipv6").rglob("*")):
        with suppress(OSError, UnicodeDecodeError):
            found[str(path)] = path.read_text()
    return found


def changes(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str]]:
    """Return the lines that came and went, by what tells them."""
    return {
        name: sorted(set(before.get(name, "").split("\n")) ^ set(after.get(name, "").split("\n")))
        for name in before | after
        if before.get(name) != after.get(name)
    }


@contextmanager
def machines() -> Iterator[Machines]:
    with ExitStack() as kept:
        made = Machines(kept)
        try:
            yield made
        finally:
            made.finish()
