"""plait over UDP beside aioquic: a stream between two processes over loopback, without privilege.

    udp.py [--rounds N] [--seconds S] [--only NAME] [--json FILE]

Outer datagrams are 1,472 octets at most in all rows, IP packets of 1,500.  aioquic is the bench
extra of plait; its row is left out without it.  As root, the two ends give up their privilege
first.
"""

from __future__ import annotations

import asyncio
import codecs
import datetime as dt
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from endpoints import BLOCK, Source, sink_once, usage
from libraries import PURE, environment
from reporting import Row, machine, options, python, save, show, turns
from rich.console import Console

from plait.aio.stack import Stack
from plait.drivers.udp import Udp, UdpSpec
from plait.host.settings import Settings

try:
    from aioquic.asyncio.client import connect
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.asyncio.server import serve
    from aioquic.quic.configuration import QuicConfiguration
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
except ImportError:
    has_aioquic = False
else:
    has_aioquic = True

ADDRESS: Final = "127.0.0.1"
PORT: Final = 8684
MTU: Final = 1500
DATAGRAM: Final = MTU - 28
QUIC_OCTETS: Final = 16 << 20
"""aioquic has no limit to what it takes from an application: so much is sent, not for so long."""

QUIC_WINDOW: Final = 64 << 20
NOBODY: Final = 65534
BASELINE: Final = "aioquic"
HEADINGS: Final = ("who", "Gbit/s", "lowest", "highest", "to aioquic", "CPU s/GB", "peak MB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One row of the table."""

    name: str
    quic: bool = False
    paths: int = 1
    offload: bool = True
    checksum: bool = False


CONFIGURATIONS: Final = (
    Configuration(name="plait over UDP"),
    Configuration(name="plait over UDP, 2 paths", paths=2),
    Configuration(name="plait over UDP, checksum", checksum=True),
    Configuration(name="plait over UDP, no offload", offload=False),
    Configuration(name="plait over UDP, 2 paths, no offload", paths=2, offload=False),
    Configuration(name=BASELINE, quic=True),
)


async def plait_end(side: str, wanted: Configuration, seconds: float) -> dict[str, float]:
    """Run one end on plait's stack."""
    names = [ADDRESS]
    if side == "source":
        names = [f"127.0.1.{path + 1}" for path in range(wanted.paths)]
    secret = hashlib.sha256(b"benchmark").digest()
    drivers = [
        Udp(
            UdpSpec(
                local=ip_address(name),
                secret=secret,
                port=PORT if side == "sink" else 0,
                mtu=MTU,
                offload=wanted.offload,
            )
        )
        for name in names
    ]
    settings = Settings(congestion="cubic", checksum=wanted.checksum)
    async with Stack(drivers, settings) as stack:
        if side == "source":
            _, source = await stack.create_connection(lambda: Source(seconds), ADDRESS, PORT)
            await source.done
            return {}
        return await sink_once(stack, PORT)


def quic_version() -> str:
    """Return the version of aioquic, empty without it."""
    return version(BASELINE) if has_aioquic else ""


def quic_configuration(*, client: bool) -> QuicConfiguration:
    """Return what both ends use: windows as large as they like, datagrams as large as ours."""
    return QuicConfiguration(
        is_client=client,
        alpn_protocols=["bench"],
        max_data=QUIC_WINDOW,
        max_stream_data=QUIC_WINDOW,
        max_datagram_size=DATAGRAM,
        verify_mode=0 if client else None,
    )


async def quic_source() -> dict[str, float]:
    """Send over one stream of aioquic."""
    configuration = quic_configuration(client=True)
    async with connect(ADDRESS, PORT, configuration=configuration) as client:
        assert isinstance(client, QuicConnectionProtocol)
        reader, writer = await client.create_stream()
        for _ in range(QUIC_OCTETS // len(BLOCK)):
            writer.write(BLOCK)
        writer.write_eof()
        await reader.read()
    return {}


async def quic_sink() -> dict[str, float]:
    """Count what comes over one stream of aioquic."""
    configuration = quic_configuration(client=False)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    configuration.certificate = builder.sign(key, hashes.SHA256())
    configuration.private_key = key
    done: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = time.monotonic()
        octets = 0
        while data := await reader.read(1 << 20):
            octets += len(data)
        done.set_result({"octets": octets, "seconds": time.monotonic() - start})
        writer.write_eof()

    server = await serve(
        ADDRESS,
        PORT,
        configuration=configuration,
        stream_handler=lambda *ends: keep(asyncio.ensure_future(count(*ends))),
    )
    print("ready", flush=True)
    result = await done
    await asyncio.sleep(0.2)  # our end of the stream has to be told
    server.close()
    return result


KEPT: Final[list[asyncio.Future[None]]] = []


def keep(task: asyncio.Future[None]) -> None:
    """Hold on to a task while it runs."""
    KEPT.append(task)


def run_end(side: str, name: str, seconds: float) -> None:
    """Run one end and print its figures."""
    codecs.lookup("idna")  # `getaddrinfo` imports it, which nobody may not everywhere
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    wanted = next(one for one in CONFIGURATIONS if one.name == name)
    if wanted.quic:
        result = asyncio.run(quic_source() if side == "source" else quic_sink())
    else:
        result = asyncio.run(plait_end(side, wanted, seconds))
    print(json.dumps(result | usage()), flush=True)


@contextmanager
def started(
    side: str, configuration: Configuration, seconds: float, library: Path
) -> Iterator[subprocess.Popen[str]]:
    """Start one end, and kill it if it is still there afterwards."""
    command = [sys.executable, __file__, "--seconds", str(seconds), "--row", configuration.name]
    with subprocess.Popen(
        [*command, "--end", side],
        env=environment(library),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def measure(configuration: Configuration, seconds: float, library: Path = PURE) -> dict[str, float]:
    """Run one configuration once, with the plait of `library`."""
    with started("sink", configuration, seconds, library) as sink:
        assert sink.stdout is not None
        assert sink.stdout.readline().strip() == "ready"
        with started("source", configuration, seconds, library) as source:
            sent = json.loads(source.communicate(timeout=seconds + 60)[0])
        received: dict[str, float] = json.loads(sink.communicate(timeout=10)[0])
    octets = received["octets"]
    return {
        "gbit": octets * 8 / received["seconds"] / 1e9,
        "cpu_per_gb": (sent["cpu"] + received["cpu"]) / octets * 1e9,
        "peak": max(sent["peak"], received["peak"]) / 1e6,
    }


def summarize(samples: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Return a row for each configuration that was measured."""
    medians = {
        name: statistics.median(one["gbit"] for one in runs) for name, runs in samples.items()
    }
    baseline = medians.get(BASELINE)
    return [
        {
            "name": name,
            "gbit_per_s": round(medians[name], 3),
            "lowest": round(min(one["gbit"] for one in runs), 3),
            "highest": round(max(one["gbit"] for one in runs), 3),
            "ratio": round(medians[name] / baseline, 1) if baseline else None,
            "cpu_s_per_gb": round(statistics.median(one["cpu_per_gb"] for one in runs), 2),
            "peak_mb": round(max(one["peak"] for one in runs), 1),
        }
        for name, runs in samples.items()
    ]


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=3, what="row")
    parser.add_argument("--seconds", type=float, default=3, help="length of each run of plait")
    parser.add_argument("--end", choices=("source", "sink"), help="run one end of --row")
    parser.add_argument("--row", default="")
    chosen = parser.parse_args()
    if chosen.end:
        run_end(chosen.end, chosen.row, chosen.seconds)
        return 0
    console = Console()
    console.print(machine())
    samples: dict[str, list[dict[str, float]]] = {}
    for number, configuration in turns(chosen, CONFIGURATIONS):
        if configuration.quic and not has_aioquic:
            continue
        sample = measure(configuration, chosen.seconds)
        samples.setdefault(configuration.name, []).append(sample)
        console.print(
            f"round {number}  {sample['gbit']:7.3f} Gbit/s  {configuration.name}", highlight=False
        )
    rows = summarize(samples)
    show(rows, console, HEADINGS, "goodput, medians")
    save(chosen.json, python=python(), rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
