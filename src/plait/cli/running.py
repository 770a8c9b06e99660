"""Runs the coroutine of a subcommand so that it can always clean up, and names its failures."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import click

from plait.errors import PlaitError

_FATAL: Final = (signal.SIGTERM, signal.SIGHUP)


class Terminated(Exception):
    """The process was asked to end by `signal`; everything is cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class Failure(click.ClickException):
    """One line for standard error."""

    def __init__(self, command_path: str, message: str) -> None:
        super().__init__(message)
        self.command_path = command_path


class TransportFailure(Failure):
    """The network or the peer failed."""

    exit_code = 1


class Impossible(Failure):
    """The request cannot be met; the message says what to do instead."""

    exit_code = 2


class Command(click.Command):
    """A subcommand whose errors end in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; PlaitError exits with 2, OSError with 1."""
        try:
            return super().invoke(ctx)
        except PlaitError as error:
            raise Impossible(ctx.command_path, str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of our output left: click ends quietly
            raise TransportFailure(ctx.command_path, describe(error)) from error


def describe(error: OSError) -> str:
    """Return what an OSError says, in lower case and without its number."""
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


def run(work: Coroutine[Any, Any, int]) -> int:
    """Return the exit status that `work` returns.

    Ctrl-C, SIGTERM and SIGHUP cancel it, so that its `finally` blocks run.  Raises
    KeyboardInterrupt or Terminated then.
    """
    received: list[int] = []
    try:
        return asyncio.run(_cancel_on_signal(work, received))
    except asyncio.CancelledError:
        if received:
            raise Terminated(received[0]) from None
        raise


@contextmanager
def interruptible() -> Iterator[None]:
    """Let work without a loop end by an exception, Terminated, so that it can clean up."""

    def end(number: int, _: FrameType | None) -> None:
        raise Terminated(number)

    kept = {number: signal.signal(number, end) for number in _FATAL}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


async def _cancel_on_signal(work: Coroutine[Any, Any, int], received: list[int]) -> int:
    """Await `work`, cancelling it when the process is told to end."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in _FATAL:
        loop.add_signal_handler(number, on_signal, number)
    return await work
