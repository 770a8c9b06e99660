"""A command below its supervisor, for machines where only ancestors may look into programs.

So it is with Yama (`kernel.yama.ptrace_scope` 1).  The process that was started cannot become the
command then: it stays, as the *outer* one, with the supervisor below it and the command below that.
The command has the session and the process group that it would have.  The outer process leaves
that group, so that signals for the group reach the command once; those for itself it passes on.  It
stops, goes on and ends as the command does.  Orphans of the command become children of the
supervisor, and so remain its descendants.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from plait.linux import libc

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
"""<linux/prctl.h>."""

_SI_KERNEL: Final = 0x80
"""<asm-generic/siginfo.h>: of a terminal, which tells the command as well, but for the next."""

_LEADERS: Final = {signal.SIGHUP, signal.SIGCONT}
"""A kernel sends them to leaders of sessions, and to stopped groups that nobody waits for."""

_CAP_SYS_PTRACE: Final = 19
"""<linux/capability.h>: Yama lets its owner look everywhere."""

_ABANDONED: Final = signal.SIGUSR1
"""Tells a supervisor that the outer process is gone."""

_STATUS: Final = struct.Struct("=i")
"""How the command ended, as `subprocess` writes it: an exit status, or a signal below 0."""


def only_ancestors_look(proc: Path = Path("/proc")) -> bool:
    """Return whether this process may look into its descendants, and into nothing else."""
    try:
        scope = (proc / "sys/kernel/yama/ptrace_scope").read_text()
        status = (proc / "self/status").read_text()
    except OSError:
        return False
    effective = int(status.partition("\nCapEff:")[2].split()[0], 16)
    return scope.strip() == "1" and not effective >> _CAP_SYS_PTRACE & 1


class Below:
    """The command as the supervisor above it sees it; used in the supervisor's process alone."""

    def __init__(self, pid: int, outer: int, report: socket.socket) -> None:
        self.pid = pid
        self._outer = outer
        self._report = report
        self._ended = os.pidfd_open(pid)
        self._waiting = threading.Thread(target=self._wait, name="wait")

    def descriptors(self) -> list[int]:
        """Return what has to stay open."""
        return [self._outer, self._report.fileno(), self._ended]

    def watch(self) -> None:
        """Begin to tell the outer process what becomes of the command."""
        signal.signal(_ABANDONED, lambda *_: self._kill())
        libc.prctl(_PR_SET_PDEATHSIG, _ABANDONED)
        parent = os.getppid()
        if os.getsid(0) == parent:
            os.setsid()  # with us in it the session's group would be no orphan, and could stop
        try:
            socket.send_fds(self._report, [b"+"], [self._ended])
        except OSError:  # the outer process is gone already
            self._kill()
        self._waiting.start()

    def join(self) -> None:
        """Wait until there is no descendant any more."""
        self._waiting.join()

    def _kill(self) -> None:
        """End the command as its caller ended what it took for it."""
        self._signal(self._ended, signal.SIGKILL)

    def _wait(self) -> None:
        """Reap everything below; pass on what happens to the command."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WCONTINUED)
            except ChildProcessError:
                return
            if found is None or found.si_pid != self.pid:
                continue
            if found.si_code in {os.CLD_STOPPED, os.CLD_TRAPPED}:
                self._signal(self._outer, signal.SIGSTOP)
            elif found.si_code == os.CLD_CONTINUED:
                self._signal(self._outer, signal.SIGCONT)
            else:
                with suppress(OSError):
                    self._report.send(_STATUS.pack(_returned(found)))
                self._signal(self._outer, signal.SIGCHLD)

    @staticmethod
    def _signal(to: int, number: int) -> None:
        with suppress(OSError):
            signal.pidfd_send_signal(to, number)


def descend(supervise: Callable[[Below], None]) -> None:
    """Return in a grandchild of this process, which is to become the command.

    Between the two `supervise` runs, in a process that ends after it; signals are blocked there.
    This process ends as the grandchild does.
    """
    report, reports = socket.socketpair()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    outer = os.pidfd_open(os.getpid())
    middle = os.fork()
    if middle:
        _end_with(lambda: _stay(report, middle))
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pid = os.fork()
    if pid:
        _end_with(lambda: _be_between(supervise, Below(pid, outer, reports)))
    for end in (report, reports):
        end.close()
    os.close(outer)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(work: Callable[[], None]) -> NoReturn:
    """Do nothing after this work, whatever comes of it."""
    try:
        work()
    finally:
        os._exit(1)  # what the caller has prepared to happen at its exit is the command's


def _be_between(supervise: Callable[[Below], None], below: Below) -> None:
    supervise(below)
    below.join()


def _stay(report: socket.socket, supervisor: int) -> None:
    """Pass signals on to the command; end as it does."""
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # so that the command is ours if the supervisor dies
    _, fds, _, _ = socket.recv_fds(report, 1, 1)
    if not fds:
        return
    command = fds[0]
    with suppress(PermissionError):  # the leader of a session has to stay in its group
        os.setpgid(supervisor, supervisor)
        os.setpgid(0, supervisor)
    close_all_but(report.fileno(), command)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        came = signal.sigwaitinfo(signal.valid_signals())
        if came.si_signo == signal.SIGCHLD:
            status = _outcome(report, command)
            if status is not None:
                _end_as(status)
        elif came.si_pid != supervisor and not _heard(came):
            with suppress(OSError):  # it has ended, or is another user's by now
                signal.pidfd_send_signal(command, came.si_signo)


def _heard(came: signal.struct_siginfo) -> bool:
    """Return whether the command has got a signal of ours by itself."""
    return came.si_code == _SI_KERNEL and came.si_signo not in _LEADERS


def _outcome(report: socket.socket, command: int) -> int | None:
    """Return how the command ended, None if it did not."""
    try:
        said = report.recv(_STATUS.size, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    if said:
        status: int = _STATUS.unpack(said)[0]
        return status
    try:  # the supervisor was killed, and we are the command's parent
        found = os.waitid(os.P_PIDFD, command, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return 1
    return None if found is None else _returned(found)


def _returned(found: os.waitid_result) -> int:
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _end_as(status: int) -> NoReturn:
    """End with an exit status, or by a signal."""
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left its own
        with suppress(OSError):  # SIGKILL
            signal.signal(-status, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.raise_signal(-status)
    os._exit(status & 0xFF)


def close_all_but(*kept: int) -> None:
    """Close every descriptor but these: whoever has the other end may wait for it."""
    for fd in {int(one.name) for one in Path("/proc/self/fd").iterdir()}.difference(kept):
        with suppress(OSError):  # the one that listed them
            os.close(fd)
