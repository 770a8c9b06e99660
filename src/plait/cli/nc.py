"""`plait nc`: standard input to the peer, the peer to standard output."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final, cast

import click

from plait.cli.backend import Server, open_network
from plait.cli.options import NetworkOptions, network_options
from plait.cli.report import Watcher, verbose_option
from plait.cli.running import Command, run
from plait.cli.stack import check_listening
from plait.cli.stdio import Input, Output
from plait.errors import UsageError

_LOOK_SECONDS: Final = 0.25
"""How often a connection is looked at for the report."""

_SENT_SECONDS: Final = 0.01
"""How often to ask whether everything has left."""

_IDLE_LOOKS: Final = 50
"""Looks without progress before it is left to the transport: a kernel socket whose peer has
finished tells nothing any more."""

_EXAMPLES: Final = """\b
Examples:
  plait nc -l 5001 --via kernel
  echo hello | plait nc 10.9.1.2 5001 --via kernel
  plait nc 10.9.1.2 5001 --tun t1,local=10.9.1.1,peer=10.9.1.2/24 \\
      --tun t2,local=10.9.2.1,peer=10.9.2.2/24
  sudo plait up; plait nc example.org 80
  sudo plait nc -l 5001 --packet eth0,shared,ports=5001-5099
  plait nc -l 5001 --udp 192.0.2.1 --secret-file secret
  plait nc 192.0.2.1 5001 --udp 10.0.0.7@wlan0 --udp 10.1.0.7@wwan0 --secret-file secret
"""


class Relay:
    """Joins standard input and output to one connection after the other."""

    def __init__(self, watcher: Watcher) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.keep = False
        """Wait for another connection when one has ended."""

        self.server: Server | None = None
        self._watcher = watcher
        self._current: NcProtocol | None = None
        self._queue: deque[NcProtocol] = deque()
        self._pending: list[bytes] = []
        self._input_ended = False
        self._sent = 0
        self._counted = 0
        self._idle_looks = 0
        self._loop = asyncio.get_running_loop()
        self._input = Input(self._on_input)
        self.output = Output(self._on_room, self._on_output_error)

    def on_connected(self, protocol: NcProtocol) -> None:
        """Serve the connection now, or after those that came before."""
        if self.server is not None and not self.keep:
            self.server.close()
            if self._current is not None or self.done.done():
                protocol.transport.abort()  # it slipped in before the listener closed
                return
        if self._current is not None:
            protocol.transport.pause_reading()
            self._queue.append(protocol)
            return
        self._serve(protocol)

    def on_data(self, data: bytes) -> None:
        """Pass on what the peer sent."""
        self.output.write(data)
        if self.output.full and self._current is not None:
            self._current.transport.pause_reading()

    def on_eof(self, protocol: NcProtocol) -> None:
        """Note that the peer sends no more; the other direction goes on."""
        protocol.ended = True
        self._watcher.update()
        self._close_if_done()

    def on_lost(self, protocol: NcProtocol, error: Exception | None) -> None:
        """Finish, or go on to the next connection."""
        if protocol is not self._current:
            if protocol in self._queue:
                self._queue.remove(protocol)
            return
        self._watcher.update()
        if error is None and protocol.ended and self._input_ended:
            self._watcher.settle(self._sent)
        self._current = None
        self._input.pause()
        if self.keep:
            if self._queue:
                self._serve(self._queue.popleft())
        elif not self.done.done():
            if error is None and not protocol.ended:
                error = ConnectionAbortedError("connection aborted")
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)

    def pause_input(self) -> None:
        """Read no more standard input: the connection is full."""
        self._input.pause()

    def resume_input(self) -> None:
        """Read standard input again."""
        self._input.resume()

    def _serve(self, protocol: NcProtocol) -> None:
        """Make this connection the current one."""
        self._current = protocol
        self._watcher.watch(protocol.transport)
        protocol.transport.resume_reading()
        pending, self._pending = self._pending, []
        self._sent = self._counted = self._idle_looks = 0
        for block in pending:
            self._send(protocol, block)
        if self._input_ended:
            self._finish(protocol)
        else:
            self._input.resume()
        self._close_if_done()

    def _on_input(self, block: bytes) -> None:
        """Send a block of standard input; the end of it is the end of our stream."""
        self._input_ended = not block
        if self._current is None:
            if block:
                self._pending.append(block)
        elif block:
            self._send(self._current, block)
        else:
            self._watcher.update()
            self._finish(self._current)
            self._close_if_done()

    def _send(self, protocol: NcProtocol, block: bytes) -> None:
        """Pass a block on to the peer."""
        self._sent += len(block)
        protocol.transport.write(block)

    def _finish(self, protocol: NcProtocol) -> None:
        """Tell the peer that our stream ends here."""
        with suppress(OSError):  # reset already, which `connection_lost` is about to say
            protocol.transport.write_eof()

    def _close_if_done(self) -> None:
        """Close the connection when both directions have ended.

        Both ends are known before the last of our data has left; the report is to count it.
        """
        if self._current is None or not self._current.ended or not self._input_ended:
            return
        info = self._watcher.update()
        counted = self._sent if info is None else info.bytes_sent
        self._idle_looks = 0 if counted > self._counted else self._idle_looks + 1
        self._counted = counted
        if counted >= self._sent or self._idle_looks > _IDLE_LOOKS:
            self._current.transport.close()
        else:
            self._loop.call_later(_SENT_SECONDS, self._close_if_done)

    def _on_room(self) -> None:
        """Read from the peer again: standard output has caught up."""
        if self._current is not None:
            self._current.transport.resume_reading()

    def _on_output_error(self, error: OSError) -> None:
        """Give up: nobody reads what the peer sends."""
        if not self.done.done():
            self.done.set_exception(OSError(error.errno, f"standard output: {error.strerror}"))
        if self._current is not None:
            self._current.transport.abort()


class NcProtocol(asyncio.Protocol):
    """One connection of the relay."""

    transport: asyncio.Transport

    def __init__(self, relay: Relay) -> None:
        self.ended = False
        """The peer sends no more."""

        self._relay = relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the relay."""
        self.transport = cast("asyncio.Transport", transport)
        self._relay.on_connected(self)

    def data_received(self, data: bytes) -> None:
        """Pass data on."""
        self._relay.on_data(data)

    def eof_received(self) -> bool:
        """Keep the transport open for the other direction."""
        self._relay.on_eof(self)
        return True

    def pause_writing(self) -> None:
        """Stop the input."""
        self._relay.pause_input()

    def resume_writing(self) -> None:
        """Go on with the input."""
        self._relay.resume_input()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the relay."""
        self._relay.on_lost(self, exc)


@click.command("nc", cls=Command, epilog=_EXAMPLES)
@click.argument("target", nargs=-1, metavar="[HOST] PORT", required=True)
@click.option("-l", "--listen", is_flag=True, help="Accept one connection on PORT.")
@click.option("-k", "--keep", is_flag=True, help="With -l: accept one after the other.")
@click.option("--bind", metavar="ADDR", help="Listen on this address only, or connect from it.")
@verbose_option
@network_options
def command(
    target: tuple[str, ...],
    listen: bool,
    keep: bool,
    bind: str | None,
    verbose: bool,
    network: NetworkOptions,
) -> int:
    """Carry standard input to a peer and the peer to standard output.

    Exit status: 0 when both directions ended cleanly, 1 when the transport failed, 2 when the
    request is impossible.
    """
    host, port = _target(target, listen=listen)
    if keep and not listen:
        raise UsageError("-k goes with -l only")
    return run(_nc(host, port, bind, network, keep=keep, verbose=verbose))


async def _nc(
    host: str | None,
    port: int,
    bind: str | None,
    options: NetworkOptions,
    *,
    keep: bool,
    verbose: bool,
) -> int:
    """Connect, or listen if there is no host, and relay until the end."""
    if host is None:
        check_listening(options, port)
    async with open_network(
        options, "plait nc", listening=host is None, verbose=verbose
    ) as network:
        watcher = Watcher(network, verbose=verbose)
        try:
            relay = Relay(watcher)
            if host is None:
                relay.keep = keep
                relay.server = await network.create_server(lambda: NcProtocol(relay), bind, port)
            else:
                await network.create_connection(
                    lambda: NcProtocol(relay), host, port, local_addr=bind
                )
            await _until_done(relay, watcher)
            await relay.output.drain()
        finally:
            if options.json is not None:
                watcher.write(options.json)
    return 0


async def _until_done(relay: Relay, watcher: Watcher) -> None:
    """Wait for the end of the relay, looking at its connection now and then."""
    while not relay.done.done():
        await asyncio.wait([relay.done], timeout=_LOOK_SECONDS)
        watcher.update()
    relay.done.result()


def _target(target: tuple[str, ...], *, listen: bool) -> tuple[str | None, int]:
    """Return host, None when listening, and port.  Raises UsageError."""
    form = "plait nc -l PORT" if listen else "plait nc HOST PORT"
    if len(target) != 2 - listen:
        raise UsageError(f"write {form}: {' '.join(target)!r} is not that")
    port = target[-1]
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{port!r} is not a port: write {form} with a PORT from 1 to 65535")
    return (None if listen else target[0]), int(port)
