"""The event loop that stacks run on whose users have none: in a thread made at the first use."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

from plait.aio.stack import CLOSE_SECONDS, Stack
from plait.errors import UsageError
from plait.sockets.relay import drained

_Result = TypeVar("_Result")


class _Background:
    """The thread, its loop and the stacks that were first used on it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stacks: set[Stack] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop, running."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="plait", daemon=True).start()
        return self._loop

    def stop(self) -> None:
        """End all connections in order, as the kernel does for a process that ends."""
        if self._loop is None:
            return
        wait(self._loop, _close(self._loop, CLOSE_SECONDS, *self.stacks))
        self._loop.call_soon_threadsafe(self._loop.stop)

    def forget(self) -> None:
        """Start anew in a child process, which has none of its parent's threads."""
        self.__init__()  # type: ignore[misc]  # the lock may be held by a thread that is not here


_BACKGROUND: Final = _Background()
atexit.register(_BACKGROUND.stop)
os.register_at_fork(after_in_child=_BACKGROUND.forget)


@contextmanager
def run_stack(stack: Stack, seconds: float = CLOSE_SECONDS) -> Iterator[Stack]:
    """Run a stack in the background thread while the block lasts, then close it.

    A stack that is given to a socket before it runs anywhere is run there, too, and closed when
    the process ends.

    Args:
        seconds: How long closing may wait for connections to end in order.
    """
    loop = loop_of(stack)
    try:
        yield stack
    finally:
        _BACKGROUND.stacks.discard(stack)
        wait(loop, _close(loop, seconds, stack))


def loop_of(stack: Stack) -> asyncio.AbstractEventLoop:
    """Return the loop that the stack runs on, the background's if it had none."""
    with _BACKGROUND.lock:
        if stack.loop is None:
            wait(_BACKGROUND.loop(), stack.__aenter__())
            _BACKGROUND.stacks.add(stack)
        assert stack.loop is not None
        return stack.loop


async def _close(loop: asyncio.AbstractEventLoop, seconds: float, *stacks: Stack) -> None:
    """Close stacks together: they may be each other's peers."""
    await drained(loop, seconds)
    await asyncio.gather(*(stack.close(seconds) for stack in stacks))


def is_ours(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether the calling thread is inside the loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return what `work` returns on the loop.  Raises UsageError inside the loop."""
    try:
        check_outside(loop)
        started = asyncio.run_coroutine_threadsafe(work, loop)
    except BaseException:
        work.close()
        raise
    return started.result()


def call(loop: asyncio.AbstractEventLoop, function: Callable[[], _Result]) -> _Result:
    """Return what `function` returns, called on the loop."""
    if is_ours(loop):
        return function()
    result: Future[_Result] = Future()

    def work() -> None:
        try:
            result.set_result(function())
        except BaseException as error:  # noqa: BLE001  raised in the caller
            result.set_exception(error)

    loop.call_soon_threadsafe(work)
    return result.result()


def at_once(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return what a coroutine returns that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("_Result", done.value)
    work.close()
    raise UsageError("this has to be waited for")


def check_outside(loop: asyncio.AbstractEventLoop) -> None:
    """Raise UsageError if the calling thread would wait for itself."""
    if is_ours(loop):
        raise UsageError(
            "this would block the event loop of its own stack: use a non-blocking socket, "
            "or another thread"
        )
