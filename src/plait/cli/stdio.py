"""Standard input and output beside an event loop.

Both are served by threads.  Making the descriptors non-blocking would change the open file they
share with the shell and its other programs, and event loops cannot wait for regular files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

STDIN: Final = 0
STDOUT: Final = 1

BLOCK: Final = 1 << 18
"""Octets read at once."""

HIGH: Final = 1 << 20
"""Octets waiting to be written above which `Output.full` is true."""


class Input:
    """Reads a descriptor and passes each block to `on_data`; b"" is the end.

    One block is under way at a time: the next is read after `on_data` returned and while the
    input is not paused.
    """

    def __init__(self, on_data: Callable[[bytes], None], fd: int = STDIN) -> None:
        self._on_data = on_data
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._wanted = threading.Event()
        self._paused = True
        self._thread = threading.Thread(target=self._work, name="input", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Read nothing more after the block that is under way."""
        self._paused = True

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            self._wanted.set()

    def _deliver(self, block: bytes) -> None:
        """Hand over a block and ask for the next; runs in the loop."""
        self._on_data(block)
        if not self._paused:
            self._wanted.set()

    def _work(self) -> None:
        """Read until the end; runs in the thread."""
        block = b"-"
        while block:
            self._wanted.wait()
            self._wanted.clear()
            try:
                block = os.read(self._fd, BLOCK)
            except OSError:
                block = b""  # closed, or a terminal that is gone
            try:
                self._loop.call_soon_threadsafe(self._deliver, block)
            except RuntimeError:
                return  # the loop is closed


class Output:
    """Writes blocks to a descriptor in order.

    Args:
        on_room: Called when `full` becomes false again.
        on_error: Called once, when the descriptor takes nothing more; later blocks are dropped.
    """

    def __init__(
        self,
        on_room: Callable[[], None],
        on_error: Callable[[OSError], None],
        fd: int = STDOUT,
    ) -> None:
        self._on_room = on_room
        self._on_error = on_error
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._blocks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._waiting = 0
        self._empty = asyncio.Event()
        self._empty.set()
        threading.Thread(target=self._work, name="output", daemon=True).start()

    @property
    def full(self) -> bool:
        """Whether enough is waiting that the source should pause."""
        return self._waiting > HIGH

    def write(self, block: bytes) -> None:
        """Write a block after those that wait."""
        self._waiting += len(block)
        self._empty.clear()
        self._blocks.put(block)

    async def drain(self) -> None:
        """Wait until everything is written."""
        await self._empty.wait()

    def _on_written(self, octets: int) -> None:
        """Count what the thread has written; runs in the loop."""
        was_full = self.full
        self._waiting -= octets
        if not self._waiting:
            self._empty.set()
        if was_full and not self.full:
            self._on_room()

    def _work(self) -> None:
        """Write block after block; runs in the thread."""
        failed = False
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while True:
                block = self._blocks.get()
                if not failed:
                    try:
                        _write_all(self._fd, block)
                    except OSError as error:
                        failed = True
                        self._loop.call_soon_threadsafe(self._on_error, error)
                self._loop.call_soon_threadsafe(self._on_written, len(block))


def _write_all(fd: int, block: bytes) -> None:
    """Write the whole block, waiting as long as it takes.  Raises OSError."""
    view = memoryview(block)
    while view:
        view = view[os.write(fd, view) :]
