"""Changes to the machine, each with what takes it back.

A command is the words an operator would type: `ip`, `nft` or `sysctl -w`.  What is run and what is
shown are therefore the same.  Sysctls are written without the program, which many machines lack.
"""

from __future__ import annotations

import errno
import shlex
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from plait.drivers.programs import ENVIRONMENT, complaint
from plait.errors import UsageError

Command: TypeAlias = tuple[str, ...]

_SYSCTL: Final = "sysctl"
_SYSCTLS: Final = Path("/proc/sys")

_CONTAINER: Final = "run it outside of the container, or make /proc/sys writable there"

_ABSENT: Final = (
    "Cannot find device",
    "No such process",
    "No such file or directory",
    "No such device",
    "does not exist",
)
"""How `ip` and `nft` say that there is nothing to remove."""


class StepError(UsageError):
    """A command was refused; nothing of it was done."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change."""

    do: Command
    undo: tuple[Command, ...] = ()
    """In this order; each is harmless where `do` was never done."""


def set_sysctl(name: str, value: str) -> Command:
    """Return the command that sets a sysctl, named with slashes as interfaces may have dots."""
    return (_SYSCTL, "-w", f"{name}={value}")


def read_sysctl(name: str) -> str | None:
    """Return the value of a sysctl, None if there is none of the name."""
    try:
        return (_SYSCTLS / name).read_text(encoding="ascii").strip()
    except OSError:
        return None


def show(command: Command) -> str:
    """Return a command as it is typed into a shell."""
    return shlex.join(command)


def perform(command: Command) -> None:
    """Run a command.  Raises StepError with what it complains of."""
    said = _complaint(command)
    if said:
        raise StepError(_failed(command, said))


def perform_all(
    steps: Sequence[Step], begin: Callable[[int], None], done: Callable[[Command], None]
) -> None:
    """Make every change in order.

    Args:
        begin: Called with the number of steps begun before each of them is made.
        done: Called with each command that was carried out.

    Raises:
        StepError: A step was refused; those before it are made.
    """
    for number, step in enumerate(steps, 1):
        begin(number)
        try:
            perform(step.do)
        except StepError:
            begin(number - 1)
            raise
        done(step.do)


def undo_all(steps: Sequence[Step], done: Callable[[Command], None]) -> list[str]:
    """Take changes back, last first; what is gone already is fine.

    Args:
        done: Called with each command that was carried out.

    Returns:
        What could not be taken back, and why.
    """
    failures = []
    for step in reversed(steps):
        for command in step.undo:
            said = _complaint(command)
            if not said:
                with suppress(OSError):  # nobody reads what is told: that must not stop it
                    done(command)
            elif not any(phrase in said for phrase in _ABSENT):
                failures.append(_failed(command, said))
    return failures


def _failed(command: Command, said: str) -> str:
    first, *more = show(command).splitlines()
    return f"`{first}{' ...' if more else ''}` failed: {said}"


def _complaint(command: Command) -> str:
    """Run a command and return what it complains of, empty if it did what it should."""
    if command[0] == _SYSCTL:
        name, _, value = command[-1].partition("=")
        try:
            (_SYSCTLS / name).write_text(value, encoding="ascii")
        except OSError as error:
            why = error.strerror or str(error)
            return f"{why}: {_CONTAINER}" if error.errno == errno.EROFS else why
        return ""
    ran = subprocess.run(  # noqa: S603 - the words are ours
        command,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        close_fds=False,  # if we are killed, it keeps the lock until it has ended
        process_group=0,  # Ctrl-C is for us alone: we may be taking changes back
    )
    return complaint(ran)
