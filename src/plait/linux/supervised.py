"""Runs a command whose calls a `Steering` answers.

The calling process becomes the command: its pid, parent, terminal, signals and exit status are what
they would be without us.  Before that it leaves behind two processes in a session of their own,
children of nobody: the supervisor, and the guardian that takes over if it is killed.  Both end with
the last descendant of the command.  Where a supervisor has to be an ancestor of the programs that
it looks into, it is (`plait.linux.ancestor`).
"""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from plait.errors import PlaitError, UsageError
from plait.linux.ancestor import Below, close_all_but, descend, only_ancestors_look
from plait.linux.guardian import guard
from plait.linux.journal import Journal
from plait.linux.seccomp import Listener, stop_calls
from plait.linux.seccomp_filter import stopping
from plait.linux.steering import Steering
from plait.linux.supervisor import Slots, Supervisor
from plait.linux.target import Target, check_sight

_READY: Final = b"+"
_MESSAGE_OCTETS: Final = 4096

_IGNORED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)
"""Meant for the command, and sent to whole groups and units."""

_RESTORED: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores them; programs expect to be ended by them."""


class NotStarted(UsageError):
    """The command cannot be executed; `status` is what a shell would exit with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Command:
    """The process that will be the command, as its supervisor needs it."""

    target: Target
    ended: int
    """A pidfd of it."""

    descriptor: int
    """One that it has open."""


def run_supervised(
    command: Sequence[str], steering: Steering, journal: Journal, *, below: bool | None = None
) -> NoReturn:
    """Become the command, supervised.

    Args:
        command: The program, found as a shell would, and its arguments.
        steering: Decides about its calls.
        journal: Told of them.
        below: Whether the command is to be a descendant of its supervisor; None: if it has to.

    Raises:
        NotStarted: There is no such command.
        Nested: The process is supervised already; nothing was changed.
        UsageError: The steering or the kernel cannot do it.
    """
    program = stopping(steering.calls)
    if below is None:
        below = _looks(steering) and only_ancestors_look()
    ends = _start_helpers(steering, journal, below=below)
    listener = stop_calls(program, killable=steering.killable)
    # From here on no call may be made that could stop, until the supervisor serves.
    for end in ends:
        socket.send_fds(end, [_READY], [listener])
    for end in ends:
        _await_ready(end)
    become(command)


def become(command: Sequence[str]) -> NoReturn:
    """Replace this process by the command.  Raises NotStarted."""
    for number in _RESTORED:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))  # noqa: S606  a shell is what nobody asked for
    except (FileNotFoundError, NotADirectoryError):
        raise NotStarted(f"{command[0]}: command not found", 127) from None
    except OSError as error:
        raise NotStarted(f"{command[0]}: {os.strerror(error.errno or 0).lower()}", 126) from None


def _looks(steering: Steering) -> bool:
    """Return whether a steering reads the memory of programs."""
    return set(steering.calls) != {"socket"}


def _start_helpers(steering: Steering, journal: Journal, *, below: bool) -> list[socket.socket]:
    """Start supervisor and guardian; return what leads to each once both are ready.

    Args:
        below: Return in a descendant of the supervisor, not in this process.
    """
    slots = Slots()
    to_supervisor, supervisors = socket.socketpair()
    to_guardian, guardians = socket.socketpair()
    killed, alive = os.pipe()

    def supervise(pid: int, *more: int) -> None:
        command = _Command(Target(pid), os.pidfd_open(pid), to_supervisor.fileno())
        kept = [supervisors.fileno(), alive, command.ended, *journal.descriptors(), *more]
        _settle("plait-supervise", kept)
        _supervise(supervisors, Supervisor(steering, journal, slots), steering, command)

    def supervise_below(command: Below) -> None:
        command.watch()
        supervise(command.pid, *command.descriptors())

    def stand_by() -> None:
        _settle("plait-guardian", [guardians.fileno(), killed])
        with guardians:
            guardians.send(_READY)
            listener = _take_listener(guardians)
        if listener is not None:
            guard(listener, killed, slots)

    if below:
        _leave_behind(stand_by)
        descend(supervise_below)
    else:
        _leave_behind(partial(supervise, os.getpid()), stand_by)
    for fd in (supervisors.detach(), guardians.detach(), killed, alive):
        os.close(fd)
    _await_ready(to_supervisor)
    _await_ready(to_guardian)
    return [to_supervisor, to_guardian]


def _leave_behind(*works: Callable[[], None]) -> None:
    """Start processes in a session of their own, children of nobody."""

    def start() -> None:
        os.setsid()
        for work in works:
            _fork(work)

    with suppress(ChildProcessError):  # our parent made us ignore SIGCHLD
        os.waitpid(_fork(start), 0)


def _supervise(
    control: socket.socket, supervisor: Supervisor, steering: Steering, command: _Command
) -> None:
    """Be the supervisor, from the first word to the last program."""
    with control:
        try:
            if _looks(steering):
                check_sight(command.target, command.descriptor)
            steering.start(supervisor)
        except (PlaitError, OSError) as error:
            control.send(str(error).encode()[:_MESSAGE_OCTETS])
            return
        control.send(_READY)
        listener = _take_listener(control)
    try:
        if listener is not None:
            supervisor.serve(listener, command.ended)
    finally:
        steering.close()


def _take_listener(control: socket.socket) -> Listener | None:
    """Return the listener that the command sends, None if it gave up."""
    _, fds, _, _ = socket.recv_fds(control, 1, 1)
    if not fds:
        return None
    control.send(_READY)
    return Listener(fds[0])


def _await_ready(end: socket.socket) -> None:
    """Wait until a helper is ready.  Raises UsageError with what it says instead."""
    said = end.recv(_MESSAGE_OCTETS)
    if said != _READY:
        raise UsageError(said.decode() or "the supervisor ended before the command started")


def _settle(name: str, kept: Sequence[int]) -> None:
    """Make this process independent of the command's caller.

    Args:
        name: For `ps`, 15 octets at most.
        kept: The descriptors that stay open.
    """
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name, encoding="ascii")
    with suppress(OSError):
        os.chdir("/")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in range(3):
        os.dup2(nothing, fd)
    close_all_but(*range(3), *kept)


def _fork(work: Callable[[], None]) -> int:
    """Return the pid of a new process that does this work and ends, whatever comes."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(0)  # what the caller has prepared to happen at its exit is not ours
