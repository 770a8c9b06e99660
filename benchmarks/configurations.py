"""Streams beside the kernel: what is configured, and the namespaces it runs in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path

from libraries import PURE, environment

from plait.linux.netns import Namespace, veth_pair
from plait.linux.path_manager import SIGNAL

ENDPOINTS = Path(__file__).with_name("endpoints.py")
PORT = 5001
START_SECONDS = 10

_NET = "10.88"
"""Paths are its networks of 24 bits; .1 is the source if both ends are kernels, plait if not."""

_FORWARDED = "10.87"
"""The same where a kernel between plait and the other end forwards."""

_QUEUE = 1 << 20
"""Octets that wait before an interface with a limit: 17 ms of 500 Mbit/s."""

_QUANTUM = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One row of the table."""

    name: str
    source: str
    """tcp, mptcp or plait."""

    sink: str
    paths: int = 1
    offload: bool = True
    checksum: bool = False
    limit: int = 0
    """Mbit/s of each path, 0 for as fast as it goes; htb holds it where data leaves the sender."""

    @property
    def kernel(self) -> bool:
        """Whether no end is plait's: a baseline."""
        return "plait" not in {self.source, self.sink}


CONFIGURATIONS = (
    Configuration(name="kernel TCP", source="tcp", sink="tcp"),
    Configuration(name="kernel MPTCP, 1 subflow", source="mptcp", sink="mptcp"),
    Configuration(name="kernel MPTCP, 2 subflows", source="mptcp", sink="mptcp", paths=2),
    Configuration(
        name="kernel MPTCP, 2 subflows, checksum",
        source="mptcp", sink="mptcp", paths=2, checksum=True,
    ),
    *(
        Configuration(
            name=f"plait {'receives' if sink == 'plait' else 'sends'}"
            f"{', 2 paths' if paths == 2 else ''}"
            f"{'' if offload else ', MTU 1500'}{', checksum' if checksum else ''}",
            source=source, sink=sink, paths=paths, offload=offload, checksum=checksum,
        )
        for source, sink in (("mptcp", "plait"), ("plait", "mptcp"))
        for paths, offload, checksum in (
            (1, True, False), (2, True, False), (1, True, True),
            (1, False, False), (1, False, True),
        )
    ),
    Configuration(
        name="kernel MPTCP, MTU 1500", source="mptcp", sink="mptcp", offload=False
    ),
)  # fmt: skip
"""Interleaved in this order, round by round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one configuration."""

    gbit: float
    """Goodput in Gbit/s."""

    cpu_per_gb: float
    """CPU seconds of both processes for each GB (10^9 octets)."""

    peak: float
    """Peak memory of plait's process in MB, of the larger one in a baseline."""


def can_run(configuration: Configuration) -> str | None:
    """Return why a configuration cannot be measured here, None if it can."""
    if configuration.kernel and not configuration.offload and shutil.which("ethtool") is None:
        return "needs ethtool to turn segmentation offload off"
    if configuration.limit and not all(map(shutil.which, ("ip", "tc"))):
        return "needs iproute2 to limit rates"
    return None


def measure(configuration: Configuration, seconds: float, library: Path = PURE) -> Sample:
    """Run one configuration once, in namespaces of its own, with the plait of `library`."""
    with _world(configuration) as (source_space, sink_space):
        source_options, sink_options = _options(configuration)
        rest = [str(PORT), str(seconds)]
        command = ["sink", configuration.sink, *rest, *sink_options]
        with _started(sink_space, command, library) as sink:
            assert sink.stdout is not None
            assert sink.stdout.readline().strip() == "ready"
            if configuration.limit and configuration.sink == "plait":
                for path in range(configuration.paths):
                    _limit(source_space, f"tun{path}", configuration.limit)
            command = ["source", configuration.source, *rest, *source_options]
            with _started(source_space, command, library) as source:
                sent = json.loads(source.communicate(timeout=seconds + START_SECONDS)[0])
            received = json.loads(sink.communicate(timeout=START_SECONDS)[0])
    octets = received["octets"]
    ends = {configuration.source: sent, configuration.sink: received}
    peak = max(sent["peak"], received["peak"]) if configuration.kernel else ends["plait"]["peak"]
    return Sample(
        gbit=octets * 8 / received["seconds"] / 1e9,
        cpu_per_gb=(sent["cpu"] + received["cpu"]) / octets * 1e9,
        peak=peak / 1e6,
    )


def _options(configuration: Configuration) -> tuple[list[str], list[str]]:
    """Return the command lines' rests of source and sink."""
    ours = ["--checksum"] if configuration.checksum else []
    net = _FORWARDED if _forwards(configuration) else _NET
    for path in range(configuration.paths):
        offload = "on" if configuration.offload else "off"
        ours += [
            "--tun",
            f"tun{path},local={net}.{path}.1,peer={net}.{path}.2/24,offload={offload}",
        ]
    if configuration.kernel:
        return ["--address", f"{_NET}.0.2", "--bind", f"{_NET}.0.1"], []
    if configuration.source == "plait":
        return [*ours, "--address", f"{_NET}.0.2"], []
    return ["--address", f"{_NET}.0.1"], ours


@contextmanager
def _started(
    namespace: Namespace, command: list[str], library: Path
) -> Iterator[subprocess.Popen[str]]:
    """Start one end, and kill it if it is still there afterwards."""
    process = namespace.run(
        lambda: subprocess.Popen(
            [sys.executable, str(ENDPOINTS), *command],
            env=environment(library),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us
        )
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _world(configuration: Configuration) -> AbstractContextManager[tuple[Namespace, Namespace]]:
    """Return the namespaces of source and sink."""
    if _forwards(configuration):
        return forwarding_world(configuration)
    return veth_world(configuration) if configuration.kernel else tun_world(configuration)


def _forwards(configuration: Configuration) -> bool:
    """Return whether what plait sends has to leave an interface that is slow."""
    return bool(configuration.limit) and configuration.source == "plait"


def _prepare(namespace: Namespace, configuration: Configuration) -> None:
    namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
    namespace.set_sysctl("net.mptcp.checksum_enabled", int(configuration.checksum))
    namespace.set_mptcp_limits(subflows=configuration.paths - 1, add_addr_accepted=8)


@contextmanager
def tun_world(configuration: Configuration) -> Iterator[tuple[Namespace, Namespace]]:
    """One namespace holds the kernel and, through TUN devices, plait."""
    with Namespace() as namespace:
        _prepare(namespace, configuration)
        yield namespace, namespace


@contextmanager
def veth_world(configuration: Configuration) -> Iterator[tuple[Namespace, Namespace]]:
    """Two kernels, so to speak, joined by a virtual cable for each path."""
    with Namespace() as one, Namespace() as other:
        for namespace in (one, other):
            _prepare(namespace, configuration)
        for path in range(configuration.paths):
            name = f"veth{path}"
            veth_pair(one, name, other, name)
            for namespace, last in ((one, 1), (other, 2)):
                namespace.add_address(name, ip_interface(f"{_NET}.{path}.{last}/24"))
                if not configuration.offload:
                    _without_offload(namespace, name)
                if configuration.limit:
                    _limit(namespace, name, configuration.limit)
        if configuration.paths == 2 and configuration.kernel:
            other.add_mptcp_endpoint(ip_address(f"{_NET}.1.2"), 2, SIGNAL)
        yield one, other


@contextmanager
def forwarding_world(configuration: Configuration) -> Iterator[tuple[Namespace, Namespace]]:
    """What plait writes to its TUN devices goes on over virtual cables, each path over its own."""
    with veth_world(configuration) as (one, other):
        one.set_sysctl("net.ipv4.ip_forward", 1)
        for path in range(configuration.paths):
            table = str(100 + path)
            _call(one, f"ip rule add iif tun{path} lookup {table}")
            _call(one, f"ip route add default via {_NET}.{path}.2 table {table}")
            _call(other, f"ip route add {_FORWARDED}.{path}.0/24 via {_NET}.{path}.1")
        yield one, other


def _limit(namespace: Namespace, name: str, rate: int) -> None:
    """Let no more than `rate` Mbit/s leave through an interface, and queue little before it."""
    _call(namespace, f"tc qdisc add dev {name} root handle 1: htb default 1")
    _call(namespace, f"tc class add dev {name} parent 1: classid 1:1 htb "
          f"rate {rate}mbit quantum {_QUANTUM}")  # fmt: skip
    _call(namespace, f"tc qdisc add dev {name} parent 1:1 bfifo limit {_QUEUE}")


def _without_offload(namespace: Namespace, name: str) -> None:
    _call(namespace, f"ethtool -K {name} tso off gso off gro off")


def _call(namespace: Namespace, command: str) -> None:
    namespace.run(lambda: subprocess.run(command.split(), check=True))
