"""Serving with several processes: which options allow it, and how each of them ends."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import click

from plait.aio.workers import Worker, make_workers, run_workers
from plait.cli.options import NetworkOptions
from plait.cli.running import Terminated, describe, interruptible, run
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.errors import PlaitError, UsageError
from plait.host.sharing import MOST

Serve = Callable[["Part"], Coroutine[Any, Any, int]]

workers_option = click.option(
    "--workers",
    type=click.IntRange(1, MOST),
    default=1,
    show_default=True,
    help="Processes that share the work, each with a queue of every --tun.",
)


@dataclass(frozen=True, slots=True)
class Part:
    """What one process serves with."""

    worker: Worker
    drivers: tuple[Tun, ...]
    """Its queue of each device."""

    @property
    def first(self) -> bool:
        """Return whether it speaks for all."""
        return self.worker.index == 0

    def summary(self, connections: int) -> str:
        """Return a line about what it did."""
        counted = self.worker.exchange.counters
        return (
            f"worker {self.worker.index}: {connections} connections, segments handed over "
            f"{counted.handed_over}, taken over {counted.taken_over}, dropped {counted.dropped}"
        )


def serve_apart(command: str, options: NetworkOptions, count: int, serve: Serve) -> int:
    """Serve with several processes and return the exit status.

    Raises:
        UsageError: The options do not allow it, or the machine cannot do it.
        ChildProcessError: One of them was killed; the others were ended.
    """
    _check(options)
    specs = [replace(TunSpec.parse(text), multi_queue=True) for text in options.tun]
    with ExitStack() as made:
        parts = []
        for worker in make_workers(count):
            drivers = tuple(map(Tun, specs))
            for driver in drivers:
                made.callback(driver.close)
            parts.append(Part(worker, drivers))
        workers = [part.worker for part in parts]
        with interruptible():
            return run_workers(workers, lambda worker: _status(command, serve, parts[worker.index]))


def _check(options: NetworkOptions) -> None:
    """Raise UsageError for options that several processes cannot have."""
    options.check()
    if not options.tun or options.packet or options.udp or options.via == "kernel":
        raise UsageError("--workers goes with --tun only: each of them needs a queue of the device")
    if options.pcap is not None:
        raise UsageError("--pcap is written by one process: record the device with tcpdump")
    if options.json is not None:
        raise UsageError("--json tells of one process: leave out --workers")


def _status(command: str, serve: Serve, part: Part) -> int:
    """Serve with one of the processes; return its exit status, having named its failure."""
    try:
        return run(serve(part))
    except Terminated as end:
        return 128 + end.signal
    except PlaitError as error:
        click.echo(f"{command}: {error}", err=True)
        return 2
    except OSError as error:
        click.echo(f"{command}: {describe(error)}", err=True)
        return 1
