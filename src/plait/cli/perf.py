"""`plait perf`: how much a connection carries, second by second."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import click

from plait.cli.backend import Network, open_network
from plait.cli.options import NetworkOptions, network_options
from plait.cli.perf_protocol import ClientProtocol, PerfProtocol, Request, ServerProtocol
from plait.cli.report import (
    Watcher,
    describe_connection,
    show_amount,
    show_rate,
    verbose_option,
)
from plait.cli.running import Command, run
from plait.cli.stack import check_listening
from plait.cli.workers import Part, serve_apart, workers_option
from plait.errors import UsageError

_SECONDS: Final = 10.0
"""How long a client sends that was told no amount."""

_PATIENCE_SECONDS: Final = 30.0
"""How long after the requested time the end of a transfer is waited for."""

_SERVER_EXAMPLES: Final = """\b
Examples:
  plait perf server 5001 --via kernel
  plait perf server 5001 -1 --tun t1,local=10.9.1.1,peer=10.9.1.2/24
"""

_CLIENT_EXAMPLES: Final = """\b
Examples:
  plait perf client 10.9.1.2 5001 --via kernel --seconds 5
  plait perf client 10.9.1.2 5001 --bytes 1000000000 --reverse \\
      --tun t1,local=10.9.1.1,peer=10.9.1.2/24 \\
      --tun t2,local=10.9.2.1,peer=10.9.2.2/24 --json -
"""


@click.group("perf")
def command() -> None:
    """Measure throughput between two hosts."""


@command.command("server", cls=Command, epilog=_SERVER_EXAMPLES)
@click.argument("port", type=click.IntRange(1, 65535))
@click.option("-1", "--one", is_flag=True, help="Serve one connection and exit.")
@click.option("--bind", metavar="ADDR", help="Listen on this address only.")
@workers_option
@verbose_option
@network_options
def server(
    port: int, one: bool, bind: str | None, workers: int, verbose: bool, network: NetworkOptions
) -> int:
    """Serve clients of plait perf until stopped."""
    if workers == 1:
        return run(_serve(port, bind, network, one=one, verbose=verbose))
    if one:
        raise UsageError("--one and --workers exclude each other: one process serves a connection")

    def serve(part: Part) -> Coroutine[Any, Any, int]:
        return _serve(port, bind, network, one=False, verbose=verbose, part=part)

    return serve_apart("plait perf server", network, workers, serve)


@command.command("client", cls=Command, epilog=_CLIENT_EXAMPLES)
@click.argument("host")
@click.argument("port", type=click.IntRange(1, 65535))
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="How long to send.")
@click.option("--bytes", "octets", type=click.IntRange(0), help="How much to send.")
@click.option("--reverse", is_flag=True, help="The server sends.")
@click.option("--bind", metavar="ADDR", help="Connect from this address.")
@verbose_option
@network_options
def client(
    host: str,
    port: int,
    seconds: float | None,
    octets: int | None,
    reverse: bool,
    bind: str | None,
    verbose: bool,
    network: NetworkOptions,
) -> int:
    """Measure a connection to a plait perf server, for 10 seconds if nothing else is said."""
    if seconds is not None and octets is not None:
        raise UsageError("--seconds and --bytes exclude each other: choose one")
    milliseconds = None if octets is not None else round((seconds or _SECONDS) * 1000)
    request = Request(reverse=reverse, octets=octets, milliseconds=milliseconds)
    return run(_measure(host, port, bind, request, network, verbose=verbose))


class Reporter:
    """Prints lines for people, beside the JSON object if that takes standard output."""

    def __init__(self, options: NetworkOptions) -> None:
        self._err = options.json == "-"

    def line(self, text: str) -> None:
        """Print one line at once."""
        click.echo(text, err=self._err)

    def summary(self, octets: int, seconds: float, watcher: Watcher) -> None:
        """Print the result of one connection."""
        self.line(f"{show_amount(octets)} in {seconds:.2f} s: {show_rate(octets, seconds).strip()}")
        info = watcher.update()
        if info is not None:
            for text in describe_connection(info):
                self.line(text)

    async def follow(self, protocol: PerfProtocol, watcher: Watcher, began: float) -> None:
        """Print a line a second until the connection is done."""
        loop = asyncio.get_running_loop()
        then, before = began, 0
        while not protocol.done.done():
            rest = then + 1 - loop.time()
            await asyncio.wait([protocol.done], timeout=max(rest, 0))
            watcher.update()
            now, octets = loop.time(), protocol.received + protocol.sent
            if now - then >= 1:
                self.line(
                    f"{now - began:6.1f} s  {show_rate(octets - before, now - then)}  "
                    f"{_count(watcher.live_subflows(), 'subflow')}"
                )
                then, before = now, octets


async def _measure(
    host: str,
    port: int,
    bind: str | None,
    request: Request,
    options: NetworkOptions,
    *,
    verbose: bool,
) -> int:
    """Run one client."""
    reporter = Reporter(options)
    async with open_network(options, "plait perf client", verbose=verbose) as network:
        watcher = Watcher(network, verbose=verbose)
        try:
            _, protocol = await network.create_connection(
                lambda: ClientProtocol(request, watcher.update), host, port, local_addr=bind
            )
            loop = asyncio.get_running_loop()
            began = loop.time()
            watcher.watch(protocol.transport)
            try:
                async with asyncio.timeout(_limit(request)):
                    await reporter.follow(protocol, watcher, began)
            except TimeoutError:
                raise TimeoutError("the transfer did not end") from None
            protocol.done.result()
            reporter.summary(protocol.confirmed or 0, loop.time() - began, watcher)
        finally:
            if options.json is not None:
                watcher.write(options.json)
    return 0


def _limit(request: Request) -> float | None:
    """Return the seconds after which a timed transfer must be over."""
    if request.milliseconds is None:
        return None
    return request.milliseconds / 1000 + _PATIENCE_SECONDS


class PerfServer:
    """Serves connections side by side; the report is about the newest."""

    def __init__(self, network: Network, reporter: Reporter, *, one: bool, verbose: bool) -> None:
        self.watcher = Watcher(network, verbose=verbose)
        self.finished = asyncio.Event()
        self.served = 0
        """Connections so far."""

        self._network = network
        self._reporter = reporter
        self._one = one
        self._began: dict[ServerProtocol, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def make_protocol(self) -> ServerProtocol:
        """Return the protocol of a new connection."""
        return ServerProtocol(self.watcher.update, self._on_made, self._on_done)

    def _on_made(self, protocol: ServerProtocol) -> None:
        """Follow a new connection, turn away what comes after the only one."""
        if self._one and (self._began or self.finished.is_set()):
            protocol.transport.abort()
            return
        self.served += 1
        loop = asyncio.get_running_loop()
        self._began[protocol] = loop.time()
        self.watcher.watch(protocol.transport)
        task = loop.create_task(self._reporter.follow(protocol, self.watcher, loop.time()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_done(self, protocol: ServerProtocol) -> None:
        """Print the result."""
        began = self._began.pop(protocol, None)
        if began is None:
            return
        octets = protocol.received or protocol.sent
        seconds = asyncio.get_running_loop().time() - began
        self._reporter.summary(octets, seconds, self.watcher)
        error = protocol.done.exception()
        if error is not None:
            self._reporter.line(f"the connection failed: {error}")
        if self._one:
            self.finished.set()


async def _serve(
    port: int,
    bind: str | None,
    options: NetworkOptions,
    *,
    one: bool,
    verbose: bool,
    part: Part | None = None,
) -> int:
    """Run a server, or one of the processes of one."""
    check_listening(options, port)
    reporter = Reporter(options)
    async with open_network(
        options, "plait perf server", listening=True, verbose=verbose, part=part
    ) as network:
        serving = PerfServer(network, reporter, one=one, verbose=verbose)
        try:
            listener = await network.create_server(serving.make_protocol, bind, port)
            if part is None or part.first:
                reporter.line(f"listening on port {listener.port}")
            await serving.finished.wait()
        finally:
            if options.json is not None:
                serving.watcher.write(options.json)
            if part is not None:
                reporter.line(part.summary(serving.served))
    return 0


def _count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it belongs."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
