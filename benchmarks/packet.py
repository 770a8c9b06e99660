"""`python benchmarks/packet.py`: the packet driver beside TUN, both against the kernel, in one run.

Kernel to kernel over the same virtual cable is the baseline.  Without offload means that both ends
of the cable have TSO, GSO, GRO and checksums switched off.  One connection without DSS checksums,
cubic.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_interface

from configurations import ENDPOINTS, PORT, START_SECONDS
from reporting import Row, is_root, options, save, show
from rich.console import Console

from plait.linux.netns import Namespace, veth_pair

HEADINGS = ("configuration", "Gbit/s", "lowest", "highest", "to TUN", "CPU s/GB")
KERNEL, STACK = "10.88.0.2", "10.88.0.1"
OWN = "10.88.0.7"
ENDS = {
    "tun": ["--tun", f"tun0,local={STACK},peer={KERNEL}/24"],
    "own": ["--packet", f"veth0,local={OWN}/24"],
    "shared": ["--packet", f"veth0,shared,ports={PORT}-{PORT + 99}"],
}
"""Options of plait's end by the driver it uses."""

LISTENING = {"tun": STACK, "own": OWN, "shared": STACK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One row of the table."""

    name: str
    driver: str
    """A key of `ENDS`, or `kernel` for the baseline."""

    sends: bool = True
    """plait's end does; in the baseline the end that stands for it."""

    offload: bool = True


CONFIGURATIONS = (
    Configuration(name="kernel to kernel", driver="kernel"),
    *(
        Configuration(
            name=f"{what}, {'sends' if sends else 'receives'}", driver=driver, sends=sends
        )
        for driver, what in (("tun", "TUN"), ("own", "packet"), ("shared", "packet, shared"))
        for sends in (True, False)
    ),
    *(
        Configuration(
            name=f"{what}, {'sends' if sends else 'receives'}, no offload",
            driver=driver,
            sends=sends,
            offload=False,
        )
        for driver, what in (("tun", "TUN"), ("own", "packet"))
        for sends in (True, False)
    ),
    Configuration(name="kernel to kernel, no offload", driver="kernel", offload=False),
)
"""Interleaved in this order, round by round."""


def measure(configuration: Configuration, seconds: float) -> tuple[float, float]:
    """Return goodput in Gbit/s and CPU seconds of both processes for each GB."""
    driver = configuration.driver
    with _world(configuration) as (here, there):
        ours = ("mptcp", []) if driver == "kernel" else ("plait", _words(configuration))
        theirs: tuple[str, list[str]] = ("mptcp", [])
        ends = [(here, *ours), (there, *theirs)]
        if not configuration.sends:
            ends.reverse()
        (source_space, source, words), (sink_space, sink, sink_words) = ends
        address = KERNEL if configuration.sends else LISTENING.get(driver, STACK)
        receiving = _start(sink_space, "sink", sink, seconds, sink_words)
        assert receiving.stdout is not None
        assert receiving.stdout.readline().strip() == "ready"
        sending = _start(source_space, "source", source, seconds, [*words, "--address", address])
        sent = json.loads(sending.communicate(timeout=seconds + START_SECONDS)[0])
        received = json.loads(receiving.communicate(timeout=START_SECONDS)[0])
    octets = received["octets"]
    gbit = octets * 8 / received["seconds"] / 1e9
    return gbit, (sent["cpu"] + received["cpu"]) / octets * 1e9


def _words(configuration: Configuration) -> list[str]:
    """Return the options of plait's end."""
    option, spec = ENDS[configuration.driver]
    plain = configuration.driver == "tun" and not configuration.offload
    return [option, f"{spec},offload=off" if plain else spec]


def _start(
    namespace: Namespace, side: str, stack: str, seconds: float, words: list[str]
) -> subprocess.Popen[str]:
    command = [sys.executable, str(ENDPOINTS), side, stack, str(PORT), str(seconds), *words]
    return namespace.run(lambda: subprocess.Popen(command, stdout=subprocess.PIPE, text=True))


@contextmanager
def _world(configuration: Configuration) -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces and a cable; with TUN one, which holds the kernel's end as well."""
    with Namespace() as here, Namespace() as there:
        for namespace in (here, there):
            namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
            namespace.set_sysctl("net.mptcp.checksum_enabled", 0)
        if configuration.driver == "tun":
            yield here, here
            return
        veth_pair(here, "veth0", there, "veth0")
        for namespace, address in ((here, STACK), (there, KERNEL)):
            namespace.add_address("veth0", ip_interface(f"{address}/24"))
            if not configuration.offload:
                _without_offload(namespace)
        yield here, there


def _without_offload(namespace: Namespace) -> None:
    features = ("tso", "gso", "gro", "tx", "rx")
    switches = [word for feature in features for word in (feature, "off")]
    command = ["ethtool", "-K", "veth0", *switches]
    namespace.run(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def summarize(samples: dict[str, list[tuple[float, float]]]) -> list[Row]:
    """Return a row for each configuration that was measured."""
    medians = {name: statistics.median(one for one, _ in runs) for name, runs in samples.items()}
    rows: list[Row] = []
    for configuration in CONFIGURATIONS:
        runs = samples.get(configuration.name)
        if not runs:
            continue
        way = "sends" if configuration.sends else "receives"
        beside = medians.get(f"TUN, {way}{'' if configuration.offload else ', no offload'}")
        median = medians[configuration.name]
        rows.append(
            {
                "name": configuration.name,
                "gbit_per_s": round(median, 2),
                "lowest": round(min(gbit for gbit, _ in runs), 2),
                "highest": round(max(gbit for gbit, _ in runs), 2),
                "ratio_to_tun": round(median / beside, 2) if beside else None,
                "cpu_s_per_gb": round(statistics.median(cpu for _, cpu in runs), 2),
            }
        )
    return rows


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=3, what="configuration")
    parser.add_argument("--seconds", type=float, default=3, help="length of each run")
    chosen = parser.parse_args()
    if not is_root("packet"):
        return 2
    samples: dict[str, list[tuple[float, float]]] = {}
    for _ in range(chosen.rounds):
        for configuration in CONFIGURATIONS:
            if not configuration.offload and shutil.which("ethtool") is None:
                continue
            if chosen.only in configuration.name:
                sample = measure(configuration, chosen.seconds)
                samples.setdefault(configuration.name, []).append(sample)
    rows = summarize(samples)
    show(rows, Console(), HEADINGS, "The packet driver beside TUN")
    save(chosen.json, rounds=chosen.rounds, seconds=chosen.seconds, rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
