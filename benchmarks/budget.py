"""Where the time goes: microseconds of each layer, for 64,000 octets or a segment of 1,428.

    PYTHONPATH=tests python benchmarks/budget.py [--seconds 3] [--only NAME] [--json FILE]

First two hosts in one process, the sending and the receiving one apart; then, as root, streams from
and to the kernel through a TUN device, with drivers, asyncio and system calls.  py-spy (the `bench`
extra) looks at each process 200 times a second from outside, so that nothing is distorted, and
counts where it is; processor time comes from a run without it.  Work of C functions counts for the
layer that calls them.  Where the core was compiled (`python hatch_build.py`) its rows follow.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from linecache import getline
from pathlib import Path
from typing import Final

from support import bytecodes

from plait.linux.netns import Namespace
from plait.units import Octets

ROOT: Final = Path(__file__).resolve().parent.parent
ENDPOINTS: Final = ROOT / "benchmarks" / "endpoints.py"
COMPILED: Final = ROOT / "build" / "compiled" / str(sys.implementation.cache_tag)

LAYERS: Final = (
    "checksum", "wire", "buffers", "policy", "tcp", "mptcp", "host", "drivers", "aio", "Python",
    "system calls",
)  # fmt: skip
"""`policy` is congestion control and scheduling; `Python` is what is not plait's, as asyncio."""

ENDS: Final = {"_send": "sending", "_hear": "sending", "_receive": "receiving"}
"""Methods of the world in one process, and whose work they are."""

_PACKAGES: Final = {"congestion": "policy", "scheduling": "policy", "pathing": "policy"}
_OTHER_MODULES: Final = {"buffers.py": "buffers", "ranges.py": "buffers"}
_SYSTEM_CALL: Final = re.compile(r"\bos\.(read|write)v?\(|\.(recv|send)\w*\(|_selector\.poll\(")
_FRAME: Final = re.compile(r"(.+) \((.+?)(?::(\d+))?\)$")
_NATIVE: Final = re.compile(r"CPy(?:Def|Py)_(.+)")
_RATE: Final = 200
_WARM: Final = 4_000_000
_START_SECONDS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is measured."""

    name: str
    mtu: Octets
    checksum: bool = False
    side: str = ""
    """Of a stream: what plait is, source or sink; empty for two hosts in one process."""

    @property
    def unit(self) -> Octets:
        """Octets of payload that figures are for."""
        return 64_000 if self.mtu > 1 << 15 else 1_428

    def command(self, seconds: float) -> list[str]:
        """Return what makes the world go, for some seconds."""
        if not self.side:
            made = ["--work", str(self.mtu), "--seconds", str(seconds)]
            return [sys.executable, __file__, *made, *["--checksum"] * self.checksum]
        offload = "on" if self.mtu > 1 << 15 else "off"
        tun = f"tun0,local=10.88.0.1,peer=10.88.0.2/24,offload={offload}"
        made = [str(ENDPOINTS), self.side, "plait", "5001", str(seconds), "--tun", tun]
        there = ["--address", "10.88.0.2"] if self.side == "source" else []
        return [sys.executable, *made, *there, *["--checksum"] * self.checksum]

    def other_command(self, seconds: float) -> list[str]:
        """Return what makes the kernel's end go."""
        if self.side == "source":
            return [sys.executable, str(ENDPOINTS), "sink", "mptcp", "5001", str(seconds)]
        made = [str(ENDPOINTS), "source", "mptcp", "5001", str(seconds)]
        return [sys.executable, *made, "--address", "10.88.0.1"]


WORLDS: Final = tuple(
    World(
        name=f"{where}{size}{', checksums' if checksum else ''}",
        mtu=mtu, side=side, checksum=checksum,
    )
    for where, side in (("", ""), ("from the kernel, ", "sink"), ("to the kernel, ", "source"))
    for size, mtu in (("super-segments", 65_535), ("MTU 1500", 1_500))
    for checksum in (False, True)
)  # fmt: skip


def work(mtu: Octets, seconds: float, *, checksum: bool) -> dict[str, float]:
    """Let a stream flow between two hosts; return its octets and the processor time."""
    stream = bytecodes.Stream(mtu, 1, replace(bytecodes.CUBIC, checksum=checksum))
    stream.carry(_WARM)
    octets, began = stream.received, time.process_time()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stream.carry(stream.received + 1)
    return {"octets": stream.received - octets, "cpu": time.process_time() - began}


def run(world: World, seconds: float, library: Path, prefix: list[str]) -> dict[str, float]:
    """Run one world; `prefix` is the profiler's command, if any."""
    found = os.pathsep.join(map(str, (library, ROOT / "tests")))
    environment = os.environ | {"PYTHONPATH": found}

    def start(command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    with Namespace() if world.side else nullcontext() as namespace:
        within: Callable[[list[str]], subprocess.Popen[str]] = start
        if namespace is not None:
            namespace.set_sysctl("net.mptcp.checksum_enabled", int(world.checksum))
            namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
            within = lambda command: namespace.run(lambda: start(command))  # noqa: E731
        ours, other = [*prefix, *world.command(seconds)], world.other_command(seconds)
        if not world.side:
            return _result(within(ours), seconds)
        sink, source = (ours, other) if world.side == "sink" else (other, ours)
        receiving = within(sink)
        assert receiving.stdout is not None
        while receiving.stdout.readline().strip() != "ready":
            pass
        sending = within(source)
        ends = {"source": _result(sending, seconds), "sink": _result(receiving, seconds)}
        return {"octets": ends["sink"]["octets"], "cpu": ends[world.side]["cpu"]}


def _result(process: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """Return what a process says at its end, past what the profiler says."""
    out = process.communicate(timeout=seconds + _START_SECONDS)[0]
    lines = [line for line in out.splitlines() if line.startswith("{")]
    found: dict[str, float] = json.loads(lines[-1])
    return found


def budget(world: World, seconds: float, library: Path) -> dict[str, dict[str, float]]:
    """Return the microseconds of each layer, by end."""
    alone = run(world, seconds, library, [])
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "samples"
        profiler = ["py-spy", "record", "--rate", str(_RATE), "--format", "raw", "--full-filenames"]
        profiler += ["--output", str(raw), *["--native"] * (library == COMPILED), "--"]
        run(world, seconds, library, profiler)
        samples = raw.read_text(encoding="utf-8").splitlines()
    counts: Counter[tuple[str, str]] = Counter()
    total = 0
    for line in samples:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        found = _attributed(world, frames)
        if found is not None:
            total += int(count)
            counts[found] += int(count)
    each = alone["cpu"] / alone["octets"] * world.unit * 1e6 / max(total, 1)
    ends = {end: 0 for end, _ in counts if end}
    return {
        end: {layer: counts[end, layer] * each for layer in LAYERS if counts[end, layer]}
        for end in sorted(ends, reverse=True)
    }


def _attributed(world: World, frames: list[str]) -> tuple[str, str] | None:
    """Return end and layer of a sample; None if it is from before the stream."""
    names = [frame.partition(" ")[0].rpartition(".")[2] for frame in frames]
    if world.side:
        end = "sending" if world.side == "source" else "receiving"
        # Starting is of no end, and as long in the run that tells the processor time.
        return end if "run_forever" in names else "", _layer(frames)
    if "work" not in names:
        return None
    return next((ENDS[name] for name in names if name in ENDS), ""), _layer(frames)


def _layer(frames: list[str]) -> str:
    """Return the layer of the innermost frame that tells one."""
    for frame in reversed(frames):
        found = _FRAME.match(frame)
        if found is None:
            continue
        function, file, line = found.groups()
        layer = _layer_of_native(function) if line is None else _layer_of(file, int(line))
        if layer:
            return layer
    return "Python"


@cache
def _layer_of(file: str, line: int) -> str:
    """Return the layer of a line of Python."""
    if "numpy" in file:
        return "checksum"
    if _SYSTEM_CALL.search(getline(file, line)):
        return "system calls"
    parts = Path(file).parts
    if "plait" not in parts:
        return "Python"
    within = parts[len(parts) - parts[::-1].index("plait") :]
    if within[-1] in {"checksum.py", "summing.c"}:
        return "checksum"
    return _OTHER_MODULES.get(within[0], _PACKAGES.get(within[0], within[0]))


@cache
def _layer_of_native(function: str) -> str:
    """Return the layer of a compiled function, "" if it is none: its caller's then."""
    found = _NATIVE.match(function)
    if found is None:
        return ""
    words = found[1].split("___")
    source = ROOT / "src" / "plait"
    for path in sorted(source.rglob("*.py")):
        module = path.relative_to(source).with_suffix("").parts
        if words[0] == module[-1] or words[: len(module)] == list(module):
            return _layer_of(str(path), 0)
    return ""


def chosen_worlds(only: str) -> list[World]:
    """Return what can be measured here; say what cannot."""
    worlds = [world for world in WORLDS if only in world.name]
    if os.geteuid() != 0 and any(world.side for world in worlds):
        print("streams to and from the kernel are left out: they need root", file=sys.stderr)
        worlds = [world for world in worlds if not world.side]
    return worlds


def builds() -> dict[str, Path]:
    """Return the libraries to measure; say why if the compiled one is not among them."""
    found = {"interpreted": ROOT / "src"}
    if (COMPILED / "stamp").exists():
        return found | {"compiled": COMPILED}
    print("no compiled core: `python hatch_build.py` makes one", file=sys.stderr)
    return found


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="length of each run")
    parser.add_argument("--only", default="", help="measure names that contain this")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--work", type=int, default=0, help="be a world of this MTU")
    parser.add_argument("--checksum", action="store_true", help="with DSS checksums")
    chosen = parser.parse_args()
    if chosen.work:
        print(json.dumps(work(chosen.work, chosen.seconds, checksum=chosen.checksum)))
        return 0
    if shutil.which("py-spy") is None:
        print("budget: needs py-spy, of the bench extra", file=sys.stderr)
        return 2
    print(f"| build | world | end | all | {' | '.join(LAYERS)} |\n|{'---|' * (4 + len(LAYERS))}")
    figures: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for build, library in builds().items():
        figures[build] = {}
        for world in chosen_worlds(chosen.only):
            figures[build][world.name] = budget(world, chosen.seconds, library)
            for end, spent in figures[build][world.name].items():
                cells = [f"{spent[one]:.2f}" if one in spent else "" for one in LAYERS]
                whole = f"{sum(spent.values()):.1f}"
                print("|", " | ".join((build, world.name, end, whole, *cells)), "|", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
