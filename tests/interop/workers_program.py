"""A server of several processes: answers each stream with its SHA-256.

    python -m interop.workers_program COUNT [apart]

`apart` hands nothing over.  At the end each process writes a line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import sys
from dataclasses import asdict, replace

from plait.aio.stack import Stack
from plait.aio.streams import start_server
from plait.aio.workers import Worker, make_workers, run_workers
from plait.drivers.sharing import Exchange
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.wire.segment import Segment

PORT = 5001
STACK = "10.77.1.1"
KERNEL = ("10.77.1.2", "10.77.2.2")
SPEC = replace(
    TunSpec.parse(f"tun0,local={STACK},peer={KERNEL[0]}/24+{KERNEL[1]}/24"), multi_queue=True
)


def tell(line: str) -> None:
    """Write a line for the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Apart(Exchange):
    """Loses everything."""

    def send(self, segment: Segment, to: int, passes: int) -> None:
        self.counters.dropped += 1


class Server:
    """One of the processes."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.driver = Tun(SPEC)
        self.served = 0
        self.joined = 0

    def run(self) -> int:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self.serve())
        counted = asdict(self.worker.exchange.counters)
        tell(json.dumps({"served": self.served, "joined": self.joined, **counted}))
        return 0

    async def serve(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        stack = Stack([self.driver], worker=self.worker)
        try:
            await start_server(self.answer, None, PORT, backend=stack)
            tell("ready")
            await asyncio.Event().wait()
        finally:
            self.joined = stack.counters.mp_join_ack_rx
            await stack.close(0.2)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        digest = hashlib.sha256()
        while data := await reader.read(1 << 18):
            digest.update(data)
        writer.write(digest.digest())
        writer.close()


def main() -> int:
    workers = make_workers(int(sys.argv[1]))
    if sys.argv[2:] == ["apart"]:
        alone = Apart.make(len(workers))
        workers = [Worker(one.share, way) for one, way in zip(workers, alone, strict=True)]
    servers = [Server(worker) for worker in workers]
    return run_workers(workers, lambda worker: servers[worker.index].run())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main())
