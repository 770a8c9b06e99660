"""Several processes that serve the same addresses, each with a stack of its own.

The networks spread flows over them; what comes to the wrong one is handed over, as `host.sharing`
says.  Drivers are made before the processes, one of each network for each of them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from plait.drivers.sharing import Exchange
from plait.host.sharing import Share, Stray
from plait.linux.libc import prctl

if TYPE_CHECKING:
    from plait.aio.pump import Pump

_SECRET_OCTETS: Final = 32
_FATAL: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What makes a stack one of several: its part, and the way to the others."""

    share: Share
    exchange: Exchange

    @property
    def index(self) -> int:
        """Which one it is, from 0."""
        return self.share.index


def make_workers(count: int) -> list[Worker]:
    """Return what so many processes need.  Raises UsageError if there cannot be as many."""
    secret = os.urandom(_SECRET_OCTETS)
    shares = [Share(index, count, secret) for index in range(count)]
    return list(map(Worker, shares, Exchange.make(count)))


class Handover:
    """Takes segments to and from other workers, on the loop of a pump."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pump: Pump, exchange: Exchange) -> None:
        self._loop = loop
        self._pump = pump
        self._exchange = exchange
        loop.add_reader(exchange.fileno(), self._on_readable)

    def send(self, stray: Stray) -> None:
        """Give a segment to the worker that is to look at it."""
        self._exchange.send(stray.segment, stray.to, stray.passes)

    def close(self) -> None:
        """Leave the loop, and the others to themselves."""
        self._loop.remove_reader(self._exchange.fileno())
        self._exchange.close()

    def _on_readable(self) -> None:
        now = self._pump.now()
        for segment, passes in self._exchange.read():
            self._pump.host.receive_stray(now, segment, passes)
        self._pump.turn(now)


def run_workers(workers: list[Worker], work: Callable[[Worker], int]) -> int:
    """Have a process do the work of each worker until one of them ends; then end the others.

    They are ended by SIGTERM, and so are all of them if this process ends or is interrupted.  Call
    it before any loop or thread runs.

    Returns:
        The exit status of the one that ended, which `work` returns; 1 if it raised, which it shows.

    Raises:
        ChildProcessError: It was killed.
    """
    gc.freeze()  # what is there now is shared, as long as no collection touches it
    sys.stdout.flush()
    sys.stderr.flush()
    running: dict[int, int] = {}
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _FATAL)  # what one raises in a fork is lost
    try:
        for worker in workers:
            process = os.fork()
            if not process:
                _be(worker, work, parent)
            running[process] = worker.index
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FATAL)
        while not (ended := os.waitpid(-1, os.WNOHANG))[0]:
            time.sleep(_LOOK_SECONDS)  # a signal just before a call that waits would go unheard
        process, status = ended
        index = running.pop(process)
    finally:
        for process in running:
            os.kill(process, signal.SIGTERM)
        for process in running:
            os.waitpid(process, 0)
        for worker in workers:
            worker.exchange.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FATAL)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        raise ChildProcessError(f"worker {index} was killed by {signal.Signals(-code).name}")
    return code


def _be(worker: Worker, work: Callable[[Worker], int], parent: int) -> NoReturn:
    """Do the work of one and end."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's goes to all; we are told
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FATAL)
        if os.getppid() == parent:
            status = work(worker)
    except BaseException:  # noqa: BLE001 - a process that was forked must not go on from here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
