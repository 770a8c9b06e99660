"""What `make bench` measures: configurations and the namespaces they run in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path

from plait.linux.netns import Namespace, veth_pair
from plait.linux.path_manager import SUBFLOW

ENDPOINTS = Path(__file__).with_name("endpoints.py")
PORT = 5001
START_SECONDS = 10


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
    return None


def measure(configuration: Configuration, seconds: float) -> Sample:
    """Run one configuration once, in namespaces of its own."""
    world = veth_world if configuration.kernel else tun_world
    with world(configuration) as (source_space, sink_space):
        source_options, sink_options = _options(configuration)
        sink = _start(sink_space, "sink", configuration.sink, seconds, sink_options)
        assert sink.stdout is not None
        assert sink.stdout.readline().strip() == "ready"
        source = _start(source_space, "source", configuration.source, seconds, source_options)
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
    for path in range(configuration.paths):
        offload = "on" if configuration.offload else "off"
        ours += [
            "--tun",
            f"tun{path},local=10.88.{path}.1,peer=10.88.{path}.2/24,offload={offload}",
        ]
    if configuration.kernel:
        return ["--address", "10.88.0.2", "--bind", "10.88.0.1"], []
    if configuration.source == "plait":
        return [*ours, "--address", "10.88.0.2"], []
    return ["--address", "10.88.0.1"], ours


def _start(
    namespace: Namespace, side: str, stack: str, seconds: float, options: list[str]
) -> subprocess.Popen[str]:
    command = [sys.executable, str(ENDPOINTS), side, stack, str(PORT), str(seconds), *options]
    return namespace.run(lambda: subprocess.Popen(command, stdout=subprocess.PIPE, text=True))


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
                namespace.add_address(name, ip_interface(f"10.88.{path}.{last}/24"))
                namespace.set_link(name, up=True)
                if not configuration.offload:
                    _without_offload(namespace, name)
        if configuration.paths == 2:
            one.add_mptcp_endpoint(ip_address("10.88.1.1"), 2, SUBFLOW)
        yield one, other


def _without_offload(namespace: Namespace, name: str) -> None:
    switches = [word for feature in ("tso", "gso", "gro") for word in (feature, "off")]
    namespace.run(lambda: subprocess.run(["ethtool", "-K", name, *switches], check=True))
