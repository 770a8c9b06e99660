"""The kernel's user notification itself: a process stops, and the test answers it."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.linux.seccomp import Listener, Notification
from plait.linux.seccomp_filter import CALLS

_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")

pytestmark = pytest.mark.skipif(
    not _ACTIONS.exists() or "user_notif" not in _ACTIONS.read_text(),
    reason="the kernel has no seccomp user notification",
)

_PROGRAM = """
import socket, sys, os, resource
from plait.linux.seccomp import Nested, stop_calls
from plait.linux.seccomp_filter import stopping
end = socket.socket(fileno=int(sys.argv[1]))
listener = stop_calls(stopping(["socket"]), killable=False)
socket.send_fds(end, [b"+"], [listener])
end.recv(1)
exec(sys.argv[2])
"""


class Stopped:
    """A program whose first sockets stop."""

    def __init__(self, code: str) -> None:
        ours, theirs = socket.socketpair()
        words = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), code]
        self.process = subprocess.Popen(
            words, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True
        )
        theirs.close()
        with ours:
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            self.listener = Listener(fds[0])
            ours.send(b"+")
        self.call = Notification()

    def wait(self) -> int:
        """Return the id of the call that stops next."""
        self.listener.receive(self.call)
        return self.call.id

    def said(self) -> str:
        out, _ = self.process.communicate(timeout=20)
        return out.strip()


LOOK = "s = socket.socket(); print(s.fileno() > 2, s.getsockopt(1, 3), s.get_inheritable())"


@pytest.fixture
def stopped() -> Iterator[Stopped]:
    one = Stopped(LOOK)
    yield one
    one.process.kill()
    one.said()
    one.listener.close()


def test_a_call_tells_what_it_is(stopped: Stopped) -> None:
    call_id = stopped.wait()
    same_id, tid, number, architecture, arguments = stopped.call.read()
    assert (same_id, tid) == (call_id, stopped.process.pid)
    assert number == CALLS["socket"][architecture]
    assert arguments[:2] == (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    assert stopped.listener.waits(call_id)
    stopped.listener.proceed(call_id)
    assert stopped.said() == "True 1 False"
    assert not stopped.listener.waits(call_id)


@pytest.mark.parametrize("adds_and_sends", [True, False], ids=["in one step", "in two"])
@pytest.mark.parametrize("close_on_exec", [True, False])
def test_a_descriptor_is_handed_over(
    stopped: Stopped, adds_and_sends: bool, close_on_exec: bool
) -> None:
    stopped.listener._adds_and_sends = adds_and_sends
    call_id = stopped.wait()
    with socket.socket(type=socket.SOCK_DGRAM) as given:
        stopped.listener.hand_over(call_id, given.fileno(), close_on_exec=close_on_exec)
    assert stopped.said() == f"True 2 {not close_on_exec}"


def test_a_result_is_given() -> None:
    stopped = Stopped(
        "try: socket.socket()\nexcept OSError as error: print(error.errno)\n"
        "print(socket.socket(2, 1).detach())"
    )
    stopped.listener.result(stopped.wait(), -1, errno.ENETDOWN)
    stopped.listener.proceed(stopped.wait())
    assert stopped.said().splitlines()[0] == str(errno.ENETDOWN)
    stopped.listener.close()


def test_a_call_of_a_killed_program_is_gone(stopped: Stopped) -> None:
    call_id = stopped.wait()
    stopped.process.kill()
    stopped.process.wait()
    assert not stopped.listener.waits(call_id)
    with pytest.raises(FileNotFoundError):
        stopped.listener.proceed(call_id)
    with pytest.raises(FileNotFoundError), socket.socket() as given:
        stopped.listener.hand_over(call_id, given.fileno(), close_on_exec=True)


def test_a_full_program_takes_no_descriptor_and_waits_on() -> None:
    stopped = Stopped(
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "try: socket.socket()\nexcept OSError as error: print(error.errno)"
    )
    call_id = stopped.wait()
    with pytest.raises(OSError, match="Too many open files"), socket.socket() as given:
        stopped.listener.hand_over(call_id, given.fileno(), close_on_exec=True)
    assert stopped.listener.waits(call_id)
    stopped.listener.proceed(call_id)
    assert stopped.said() == str(errno.EMFILE)
    stopped.listener.close()


def test_the_listener_hangs_up_after_the_last_program(stopped: Stopped) -> None:
    poll = select.poll()
    poll.register(stopped.listener.fileno(), select.POLLIN)
    stopped.listener.proceed(stopped.wait())
    stopped.said()
    assert poll.poll(5000) == [(stopped.listener.fileno(), select.POLLHUP)]


def test_a_second_listener_is_refused() -> None:
    stopped = Stopped("try: stop_calls(stopping(['socket']))\nexcept Nested as error: print(error)")
    assert stopped.said().startswith("a supervisor is there already")
    stopped.listener.close()


def test_taking_turns_is_asked_for_where_it_exists(stopped: Stopped) -> None:
    release = tuple(int(one) for one in os.uname().release.split("-")[0].split(".")[:2])
    assert stopped.listener.take_turns() is (release >= (6, 6))
    stopped.listener.proceed(stopped.wait())
    assert stopped.said() == "True 1 False"
