"""The two ends of a benchmark: a source and a sink, over kernel sockets or over plait's stack.

    endpoints.py SIDE STACK PORT SECONDS [--address A] [--bind B] [--tun SPEC ...]
                 [--packet SPEC ...] [...]

SIDE is source or sink; STACK is tcp, mptcp or plait.  The sink prints how much arrived and how long
that took, both print their CPU seconds and peak memory, as one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket
import time
from collections.abc import Sequence
from typing import Any

from plait.aio.protocols import ChunkProtocol
from plait.aio.stack import Stack
from plait.buffers import Buffer
from plait.drivers.base import Driver
from plait.drivers.packet import PacketDriver
from plait.drivers.packet_spec import PacketSpec, with_shared_ports
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.host.settings import Settings
from plait.linux.mptcp_sockets import listen, make_socket
from plait.linux.socket_options import SocketOptions

BLOCK = bytes(1 << 20)


def kernel_sink(options: argparse.Namespace) -> dict[str, float]:
    """Accept one connection and count what comes."""
    mptcp = options.stack == "mptcp"
    server = listen(None, options.port, SocketOptions(mptcp=mptcp, congestion="cubic"))
    server.settimeout(None)
    print("ready", flush=True)
    connection, _ = server.accept()
    buffer = bytearray(1 << 20)
    received = 0
    start = time.monotonic()
    while octets := connection.recv_into(buffer):
        received += octets
    return {"octets": received, "seconds": time.monotonic() - start}


def kernel_source(options: argparse.Namespace) -> dict[str, float]:
    """Connect and send for a while."""
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    wanted = SocketOptions(mptcp=options.stack == "mptcp", congestion="cubic")
    sock = make_socket(family, wanted)
    sock.settimeout(None)
    if options.bind:
        sock.bind((options.bind, 0))
    sock.connect((options.address, options.port))
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        sock.sendall(BLOCK)
    sock.close()
    return {}


class Sink(ChunkProtocol):
    """Counts what arrives; `done` holds octets and seconds at the end of the stream."""

    def __init__(self) -> None:
        self.done: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()
        self._received = 0
        self._start = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def chunks_received(self, chunks: Sequence[Buffer]) -> None:
        """Count."""
        self._received += sum(map(len, chunks))

    def eof_received(self) -> None:
        """Stop the clock; returning None closes our side."""
        seconds = time.monotonic() - self._start
        self.done.set_result({"octets": self._received, "seconds": seconds})


class Source(asyncio.Protocol):
    """Sends blocks as fast as the transport takes them, until a time has passed."""

    def __init__(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        self._seconds = seconds
        self._end = 0.0
        self._paused = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._end = time.monotonic() + self._seconds
        self._send()

    def pause_writing(self) -> None:
        """Wait."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, clean or not."""
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        while not self._paused and not self._transport.is_closing():
            if time.monotonic() >= self._end:
                self._transport.close()
                return
            self._transport.write(BLOCK)


async def sink_once(stack: Stack, port: int) -> dict[str, float]:
    """Accept one connection and count what comes."""
    sinks: asyncio.Queue[Sink] = asyncio.Queue()

    def accept() -> Sink:
        sink = Sink()
        sinks.put_nowait(sink)
        return sink

    await stack.create_server(accept, None, port)
    print("ready", flush=True)
    return await (await sinks.get()).done


async def plait_end(options: argparse.Namespace) -> dict[str, float]:
    """Run one end on plait's stack."""
    packets = [PacketSpec.parse(text) for text in options.packet]
    settings = Settings(checksum=options.checksum, congestion="cubic")
    settings = with_shared_ports(settings, packets)
    drivers: list[Driver] = [Tun(TunSpec.parse(text)) for text in options.tun]
    drivers += map(PacketDriver, packets)
    async with Stack(drivers, settings) as stack:
        if options.side == "source":
            _, source = await stack.create_connection(
                lambda: Source(options.seconds), options.address, options.port
            )
            await source.done
            return {}
        return await sink_once(stack, options.port)


def usage() -> dict[str, float]:
    """Return what this process has used: CPU seconds and peak memory in octets."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}


def main() -> None:
    """Run one end and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("source", "sink"))
    parser.add_argument("stack", choices=("tcp", "mptcp", "plait"))
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--address", default="")
    parser.add_argument("--bind", default="")
    parser.add_argument("--tun", action="append", default=[])
    parser.add_argument("--packet", action="append", default=[])
    parser.add_argument("--checksum", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any]
    if options.stack == "plait":
        result = asyncio.run(plait_end(options))
    elif options.side == "sink":
        result = kernel_sink(options)
    else:
        result = kernel_source(options)
    print(json.dumps(result | usage()), flush=True)


if __name__ == "__main__":
    main()
