"""`plait demo`: a file over two paths, one of which is cut in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BufferedRandom, BytesIO
from typing import Final

import click

from plait.cli.demo_transfer import Tally, Upload
from plait.cli.demo_view import PathReading, View
from plait.cli.demo_world import PORT, DemoPath, World, kernel_world, memory_world
from plait.cli.options import PolicyOptions, policy_options
from plait.cli.report import Watcher, describe_connection, show_amount
from plait.cli.running import Command, run
from plait.cli.stack import policies_of
from plait.errors import UsageError
from plait.host.settings import Settings

_MEGABYTE: Final = 1_000_000
_CUT_AT: Final = 0.6
"""Part of the file that has arrived when the first path is cut."""

_ALONE_SECONDS: Final = 2
"""How long one path alone is used at its full rate, unless that were more than half the file."""

_LOOK_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 5
_SLOWEST: Final = 2_000_000
"""Octets a second that a transfer must make, `_PATIENCE_SECONDS` granted."""

_SMOOTHING: Final = 0.5
"""Weight of the newest reading in a displayed rate."""


_EXAMPLES: Final = """\b
Examples:
  plait demo
  plait demo --in-process --intent redundant
  plait demo --scheduler blest --cc lia --size 50
"""


@click.command("demo", cls=Command, epilog=_EXAMPLES)
@click.option("--in-process", is_flag=True, help="Use two plait hosts, not TUN and the kernel.")
@click.option(
    "--size", default=20, show_default=True, type=click.IntRange(1, 1000), help="Megabytes to move."
)
@policy_options
@click.option("--sandboxed", is_flag=True, hidden=True)
def command(in_process: bool, size: int, policies: PolicyOptions, sandboxed: bool) -> int:
    """Move a file over two paths, cut one in the middle, and lose nothing.

    plait sends to the Linux kernel's Multipath TCP, in a network namespace made for the purpose;
    where that is impossible, to a second plait host.  Takes under 30 seconds, needs no privileges
    where user namespaces are allowed, and leaves nothing behind.
    """
    settings = policies_of(policies)
    if not in_process and not sandboxed and os.geteuid() != 0:
        sys.stdout.flush()
        given = [f"--{name}={value}" for name, value in asdict(policies).items() if value]
        again = ["plait.cli.sandbox", "demo", "--sandboxed", f"--size={size}", *given]
        os.execv(  # noqa: S606 - this same program, with root's rights over its own namespace
            sys.executable, [sys.executable, "-m", *again]
        )
    return run(_demo(size * _MEGABYTE, settings, in_process=in_process))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one transfer was like."""

    goodput: float
    """Mbit/s of file data up to the cut, or to the end if there was none."""

    tally: Tally
    intact: bool
    """The receiver's SHA-256 is that of the file."""

    lines: list[str]
    """The connection and its subflows just before the end."""


async def _demo(size: int, settings: Settings, *, in_process: bool) -> int:
    """Run in the best world there is and return the exit status."""
    with View() as view:
        if in_process:
            async with memory_world() as world:
                return await _show(world, view, size, settings)
        try:
            async with kernel_world() as world:
                return await _show(world, view, size, settings)
        except UsageError as error:
            view.line(f"Without the kernel's Multipath TCP: {error}.")
            view.line("The same between two plait hosts in this process:")
        async with memory_world() as world:
            return await _show(world, view, size, settings)


async def _show(world: World, view: View, size: int, settings: Settings) -> int:
    """Each path alone, then both with a cut, then the summary."""
    view.line(world.title)
    for path in world.paths:
        plan = path.plan
        view.line(f"  {plan.name:<5} {plan.megabits} Mbit/s, {plan.delay_ms} ms each way")
    single = replace(settings, mptcp=False)
    alone = [await _alone(world, view, path, size // 2, single) for path in world.paths]
    with tempfile.TemporaryFile(prefix="plait-demo-") as file:
        view.line(f"A file of {show_amount(size)} over both, {_cut_name(world)} is cut:")
        file.write(os.urandom(size))
        local = ", ".join(path.plan.local for path in world.paths)
        mesh = replace(settings, local_addresses=local)
        both = await _transfer(world, view, file, size, mesh, cut=world.paths[0])
    view.line()
    for path, outcome in zip(world.paths, alone, strict=True):
        view.line(f"  {path.plan.name + ' alone':<12} {outcome.goodput:5.1f} Mbit/s")
    view.line(f"  {'both':<12} {both.goodput:5.1f} Mbit/s before the cut")
    view.line(f"  {'the cut':<12} {both.tally.longest_gap * 1000:5.0f} ms without data, at most")
    view.line(f"  {'the file':<12} {'intact' if both.intact else 'DAMAGED'} (SHA-256)")
    for line in both.lines:
        view.line(f"  {line}")
    joins = world.evidence().get("MPJoinAckRx", 0)
    view.line(f"  the receiver counted MPJoinAckRx {joins}")
    return 0 if both.intact and all(outcome.intact for outcome in alone) else 1


async def _alone(
    world: World, view: View, path: DemoPath, most: int, settings: Settings
) -> Outcome:
    """Measure plain TCP on one path."""
    octets = min(path.plan.megabits * 125_000 * _ALONE_SECONDS, most)
    view.line(f"TCP over {path.plan.name} alone:")
    return await _transfer(world, view, BytesIO(bytes(octets)), octets, settings, first=path)


async def _transfer(
    world: World,
    view: View,
    file: BytesIO | BufferedRandom,
    octets: int,
    settings: Settings,
    *,
    first: DemoPath | None = None,
    cut: DemoPath | None = None,
) -> Outcome:
    """Send a file and check what came back.

    Args:
        first: Where to connect; None is the first of all paths.
        cut: Cut this path on the way.
    """
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").digest()
    file.seek(0)
    plan = (first or world.paths[0]).plan
    world.receivers.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    transport, upload = await world.stack.create_connection(
        lambda: Upload(file),
        plan.remote,
        PORT,
        local_addr=plan.local,
        settings=settings,
    )
    watch = _Watch(world, view, octets, began)
    watcher = Watcher(world.stack)
    watcher.watch(transport)
    goodput = 0.0
    info = None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS + octets / _SLOWEST):
            while not upload.digest.done():
                await asyncio.wait([upload.digest], timeout=_LOOK_SECONDS)
                tally = watch.look(cut=cut if goodput else None)
                info = watcher.update()
                if cut is not None and not goodput and tally.octets >= _CUT_AT * octets:
                    goodput = tally.octets * 8e-6 / (tally.last - began)
                    tally.mark()
                    cut.emulation.cut()
                    view.line(f"  {cut.plan.name} is cut at {show_amount(tally.octets)}")
    except TimeoutError:
        raise TimeoutError("the transfer did not end") from None
    tally = world.receivers[0].tally
    return Outcome(
        goodput=goodput or tally.octets * 8e-6 / (tally.last - began),
        tally=tally,
        intact=upload.digest.result() == digest,
        lines=[] if info is None else describe_connection(info),
    )


class _Watch:
    """Turns octets that arrived on each path into rates."""

    def __init__(self, world: World, view: View, octets: int, began: float) -> None:
        self._world = world
        self._view = view
        self._octets = octets
        self._began = began
        self._then = began
        self._before = [path.emulation.sending.octets for path in world.paths]
        self._rates = [0.0] * len(world.paths)

    def look(self, cut: DemoPath | None) -> Tally:
        """Show the rates since the last look, and return what was received."""
        now = asyncio.get_running_loop().time()
        tally = self._world.receivers[0].tally if self._world.receivers else Tally()
        self._view.show(now - self._began, self._readings(now, cut), tally.octets / self._octets)
        self._then = now
        return tally

    def _readings(self, now: float, cut: DemoPath | None) -> Sequence[PathReading]:
        """Return what each path does."""
        readings: list[PathReading] = []
        for at, path in enumerate(self._world.paths):
            octets = path.emulation.sending.octets
            newest = (octets - self._before[at]) * 8e-6 / max(now - self._then, 1e-3)
            self._before[at] = octets
            self._rates[at] += _SMOOTHING * (newest - self._rates[at])
            readings.append(
                PathReading(
                    name=path.plan.name,
                    capacity=path.plan.megabits,
                    rate=self._rates[at],
                    cut=path is cut,
                )
            )
        return readings


def _cut_name(world: World) -> str:
    """Return the path that will be cut and when, for people."""
    return f"{world.paths[0].plan.name} (at {_CUT_AT:.0%})"
