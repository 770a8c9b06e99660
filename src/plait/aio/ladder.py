"""What a connection runs on: the kernel's Multipath TCP, a stack of plait's own, or plain TCP.

These are the rungs of a ladder, tried from the top.  A rung is skipped only if it cannot even try:
Multipath TCP is switched off in the kernel, no stack is configured, a setting is refused.  What the
network or the peer answers is the caller's to know, and no reason to try another rung.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias, TypeVar

from plait.aio.kernel import Kernel
from plait.aio.stack import Stack
from plait.errors import NotSupportedError, UnknownNameError, UsageError

RUNGS: Final = ("kernel", "stack", "tcp")

VARIABLE: Final = "PLAIT_BACKEND"
"""Environment variable that names what `auto` means: a rung, or several with commas between."""

Backend: TypeAlias = str | Sequence[str] | Stack | Kernel
"""`auto`, a rung, several in the order to try them, or what to run on itself."""

_STACK: ContextVar[Stack | None] = ContextVar("plait_stack", default=None)

_Result = TypeVar("_Result")


@contextmanager
def use_stack(stack: Stack) -> Iterator[Stack]:
    """Let the rung `stack` mean this one in the block and the tasks that are made there."""
    before = _STACK.get()
    _STACK.set(stack)
    try:
        yield stack
    finally:
        _STACK.set(before)  # no token: the block may end in another context than it began in


async def climb(
    backend: Backend,
    stack: Stack | None,
    work: Callable[[Stack | Kernel, str | None], Awaitable[_Result]],
) -> _Result:
    """Do `work` on the first rung that can, and return what it returned.

    Args:
        stack: What the rung `stack` means; None for that of `use_stack`.
        work: Is given what to run on, and why it is not what was preferred (None if it is).

    Raises:
        NotSupportedError: No rung can; the message has the reason of each.
        UnknownNameError: There is no such rung.
    """
    if isinstance(backend, Stack | Kernel):
        return await work(backend, None)
    rungs = _rungs(backend, stack)
    skipped: list[NotSupportedError] = []
    for rung in rungs:
        reasons = "; ".join(str(error) for error in skipped) or None
        try:
            return await work(_foothold(rung, stack), reasons)
        except NotSupportedError as error:
            skipped.append(error)
    if len(skipped) == 1:
        raise skipped[0]
    raise NotSupportedError("; ".join(str(error) for error in skipped))


def _rungs(backend: str | Sequence[str], stack: Stack | None) -> Sequence[str]:
    """Return the names of the rungs to try.  Raises UnknownNameError."""
    source = "backend"
    if backend == "auto":
        backend = RUNGS if stack is None else "stack"
        if stack is None and VARIABLE in os.environ:
            source, backend = VARIABLE, os.environ[VARIABLE]
    names = [name.strip() for name in backend.split(",")] if isinstance(backend, str) else backend
    if list(names) == ["auto"]:
        return RUNGS
    for name in names:
        if name not in RUNGS:
            raise UnknownNameError(source, name, ["auto", *RUNGS])
    if not names:
        raise UsageError(f"{source} names no rung: choose from {', '.join(RUNGS)}")
    return names


def _foothold(rung: str, stack: Stack | None) -> Stack | Kernel:
    """Return what the rung runs on.  Raises NotSupportedError if there is none."""
    if rung != "stack":
        return Kernel(mptcp=rung == "kernel", counting=False)
    found = stack or _STACK.get()
    if found is None:
        raise NotSupportedError("no stack is configured: see plait.use_stack")
    return found
