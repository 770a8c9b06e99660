"""What can go wrong between a program and its supervisor, and what the program sees of it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from programs.judge import OTHER, PORT, RUN, USER, USERS_PYTHON, Judge, until
from programs.steerings import GO, STOPPED

pytestmark = pytest.mark.privileged

STEERED = [sys.executable, str(Path(__file__).with_name("steerings.py"))]
PROTOCOL = "import socket; print(socket.socket().getsockopt(1, 38))"
ASK = (
    "import socket, sys\n"
    "for line in sys.stdin:\n"
    f"  s = socket.create_connection(('127.0.0.1', {PORT})); s.sendall(b'?')\n"
    "  print(s.recv(9).decode(), flush=True)\n"
)
"""Connects once for each line it reads."""


class Asking:
    """A program under `plait run` that connects when it is told to."""

    def __init__(self, judge: Judge, *before: str, **options: Any) -> None:
        words = (*(before or RUN), sys.executable, "-c", ASK)
        self.process = judge.start(*words, stdin=subprocess.PIPE, **options)

    def ask(self) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.tell()
        return self.process.stdout.readline().strip()

    def tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def test_when_the_supervisor_is_killed_programs_go_on_with_tcp(judge: Judge) -> None:
    asking = Asking(judge)
    assert asking.ask() == "MPTCP"
    os.kill(judge.helpers()["plait-supervise"], signal.SIGKILL)
    until(lambda: "plait-supervise" not in judge.helpers(), "it is dead")
    assert [asking.ask(), asking.ask()] == ["TCP", "TCP"]
    asking.process.kill()
    until(lambda: not judge.helpers(), "the guardian ends with the program")


def test_a_call_that_waits_in_a_dead_supervisors_queue_proceeds(judge: Judge) -> None:
    asking = Asking(judge)
    assert asking.ask() == "MPTCP"
    supervisor = judge.helpers()["plait-supervise"]
    os.kill(supervisor, signal.SIGSTOP)
    asking.tell()
    time.sleep(0.1)
    os.kill(supervisor, signal.SIGKILL)
    assert asking.hear() == "TCP"


def test_a_call_that_a_dead_supervisor_was_answering_proceeds(judge: Judge, tmp_path: Path) -> None:
    asking = Asking(judge, *STEERED, "never", cwd=tmp_path)
    asking.tell()
    until((tmp_path / STOPPED).exists, "its call was received")
    os.kill(judge.helpers()["plait-supervise"], signal.SIGKILL)
    assert asking.hear() == "TCP"


def test_signals_for_the_command_do_not_end_its_helpers(judge: Judge) -> None:
    asking = Asking(judge)
    assert asking.ask() == "MPTCP"
    for pid in judge.helpers().values():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            os.kill(pid, number)
        assert os.getsid(pid) != os.getsid(asking.process.pid)
        assert os.getpgid(pid) != os.getpgid(asking.process.pid)
    assert asking.ask() == "MPTCP"
    assert len(judge.helpers()) == 2


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("exit 7", 7),
        ("true", 0),
        ("kill -9 $$", -9),
        ("trap 'exit 5' TERM; kill $$; sleep 9 & wait", 5),
    ],
)
def test_the_exit_status_is_the_commands(judge: Judge, line: str, status: int) -> None:
    assert judge.run(*RUN, "sh", "-c", line).returncode == status
    until(lambda: not judge.helpers(), "nothing is left")


def test_a_shell_sees_128_and_the_signal(judge: Judge) -> None:
    line = f"{' '.join(RUN)} sh -c 'kill -TERM $$'; exit $?"
    assert judge.run("sh", "-c", line).returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(("to", "number"), [("group", "SIGINT"), ("command", "SIGTERM")])
def test_a_signal_reaches_the_command_once(judge: Judge, to: str, number: str) -> None:
    count = (
        "import signal, time\n"
        f"signal.signal(signal.{number}, lambda *_: print('got', flush=True))\n"
        "print('ready', flush=True)\n"
        "for _ in range(10): time.sleep(0.05)\n"
    )
    process = judge.start(*RUN, sys.executable, "-c", count, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    send = os.killpg if to == "group" else os.kill
    send(process.pid, getattr(signal, number))
    assert process.communicate()[0] == "got\n"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("no-such-program", 127, "plait run: no-such-program: command not found"),
        ("/etc/passwd", 126, "plait run: /etc/passwd: permission denied"),
    ],
)
def test_a_command_that_cannot_start(judge: Judge, command: str, status: int, message: str) -> None:
    done = judge.run(*RUN, command)
    assert (done.returncode, done.stderr.strip()) == (status, message)
    until(lambda: not judge.helpers(), "nothing is left")


def test_a_caller_that_ignores_its_children(judge: Judge, built: Path) -> None:
    line = f"trap '' CHLD; exec {' '.join(RUN)} {built}/static {PORT}"
    assert judge.run("sh", "-c", line).stdout == "MPTCP 0\n"


def test_descriptors_of_the_caller_are_not_held(judge: Judge) -> None:
    reader, writer = os.pipe()
    asking = Asking(judge, *RUN, pass_fds=[writer])
    assert asking.ask() == "MPTCP"
    for pid in judge.helpers().values():
        held = [one.readlink() for one in Path(f"/proc/{pid}/fd").iterdir()]
        assert Path(f"/proc/self/fd/{writer}").readlink() not in held
        assert len(held) <= 3 + 5
    os.close(reader)
    os.close(writer)


def test_a_daemon_is_served_after_the_command_and_holds_up_nobody(
    judge: Judge, built: Path, tmp_path: Path
) -> None:
    answer = tmp_path / "answer"
    waiting = f"while [ ! -e {GO} ]; do sleep 0.05; done"
    daemon = f"({waiting}; {built}/static {PORT}) > {answer} 2>&1 < /dev/null &"
    judge.run(*RUN, "--explain", "--", "sh", "-c", daemon, cwd=tmp_path)  # its pipes are closed
    assert len(judge.helpers()) == 2
    (tmp_path / GO).touch()
    assert until(lambda: answer.exists() and answer.read_text(), "it answers") == "MPTCP 0\n"
    until(lambda: not judge.helpers(), "nothing is left")


def test_a_supervisor_within_another_leaves_it_to_that_one(judge: Judge, built: Path) -> None:
    done = judge.run(*RUN, "--explain", "--", *RUN, str(built / "static"), str(PORT))
    first, second = done.stderr.splitlines()
    assert done.stdout == "MPTCP 0\n"
    assert first.startswith("plait run: a supervisor is there already")
    assert second.endswith("] socket: MPTCP")
    until(lambda: not judge.helpers(), "nothing is left")


def test_a_program_in_another_network_namespace_gets_a_socket_of_that(
    judge: Judge, built: Path
) -> None:
    look = (
        "import socket as s\n"
        "tcp, udp = s.socket(), s.socket(type=s.SOCK_DGRAM)\n"
        "print(tcp.getsockopt(1, 38), tcp.getsockopt(1, 71, 8) == udp.getsockopt(1, 71, 8))\n"
    )
    done = judge.run(*RUN, "unshare", "-n", sys.executable, "-c", look)
    assert done.stdout == "262 True\n", done.stderr
    words = ("unshare", "-n", str(built / "static"), str(PORT))
    assert "Network is unreachable" in judge.run(*RUN, *words).stderr


def test_a_namespace_that_may_not_be_entered_means_tcp(
    judge: Judge, as_user: dict[str, Any]
) -> None:
    run = [USERS_PYTHON, "-m", "plait.cli", "run", "--explain", "--"]
    words = ("unshare", "--user", "--map-root-user", "--net", USERS_PYTHON, "-c", PROTOCOL)
    if judge.run(*words, **as_user).returncode:
        pytest.skip("users may not make namespaces")
    done = judge.run(*run, *words, **as_user)
    assert done.stdout == "6\n"
    assert "TCP (it is in a network namespace that takes root to enter)" in done.stderr


def test_a_program_that_hides_from_its_user_gets_tcp(judge: Judge, as_user: dict[str, Any]) -> None:
    hide = f"import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); {PROTOCOL}"
    run = [USERS_PYTHON, "-m", "plait.cli", "run", "--explain", "--"]
    done = judge.run(*run, USERS_PYTHON, "-c", hide, **as_user)
    assert done.stdout == "6\n"
    assert "TCP (it hides its network namespace)" in done.stderr


@pytest.mark.parametrize("becomes", ["os.setresuid(*[1000] * 3)", "os.seteuid(1000)"])
def test_a_socket_belongs_to_the_programs_user(judge: Judge, becomes: str) -> None:
    look = (
        f"import os, socket; os.setegid({USER}); {becomes}; s = socket.socket();"
        "found = os.fstat(s.fileno()); print(s.getsockopt(1, 38), found.st_uid, found.st_gid)"
    )
    assert judge.run(sys.executable, "-c", look).stdout == f"6 {USER} {USER}\n"
    assert judge.run(*RUN, sys.executable, "-c", look).stdout == f"262 {USER} {USER}\n"


def test_a_program_without_descriptors_is_told_so_by_its_kernel(judge: Judge) -> None:
    look = (
        "import resource, socket; resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\n"
        "kept = []\n"
        "try:\n"
        "  while True: kept.append(socket.socket())\n"
        "except OSError as error: print(len(kept), error.errno)\n"
    )
    plain, run = (judge.run(*before, sys.executable, "-c", look) for before in ((), RUN))
    assert run.stdout == plain.stdout


def test_a_supervisor_without_descriptors_gives_tcp(judge: Judge) -> None:
    asking = Asking(judge, *RUN, "--explain", "--")
    assert asking.ask() == "MPTCP"
    supervisor = judge.helpers()["plait-supervise"]
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (3, 4096))
    assert asking.ask() == "TCP"
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (4096, 4096))
    assert asking.ask() == "MPTCP"
    asking.process.kill()
    assert "TCP (too many open files)" in asking.process.communicate()[1]


def test_threads_are_served_one_after_the_other_and_none_is_forgotten(judge: Judge) -> None:
    many = (
        "import socket, threading\n"
        "def work():\n"
        "  for _ in range(50):\n"
        "    with socket.socket() as s: got.append(s.getsockopt(1, 38))\n"
        "got = []; all = [threading.Thread(target=work) for _ in range(8)]\n"
        "[one.start() for one in all]; [one.join() for one in all]; print(len(got), set(got))\n"
    )
    assert judge.run(*RUN, sys.executable, "-c", many).stdout == "400 {262}\n"


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """Python by a name that the steering `slow` lets wait."""
    program = tmp_path / "slow"
    program.symlink_to(sys.executable)
    return program


AWAIT_STOP = f"while [ ! -e {STOPPED} ]; do sleep 0.02; done"


def test_a_slow_answer_holds_up_nobody_else(judge: Judge, slow: Path) -> None:
    look = (
        f"{slow} -c '{PROTOCOL}' & {AWAIT_STOP}; {sys.executable} -c '{PROTOCOL}';"
        f"echo others; touch {GO}; wait"
    )
    done = judge.run(*STEERED, "slow", "sh", "-c", look, cwd=slow.parent)
    assert done.stdout == "6\nothers\n6\n"
    assert "TCP (it waited)" in done.stderr


@pytest.mark.parametrize("where", ["", "unshare -n "], ids=["here", "its namespace vanishes too"])
def test_a_program_killed_while_its_call_is_stopped_harms_nobody(
    judge: Judge, slow: Path, where: str
) -> None:
    look = (
        f"{where}{slow} -c '{PROTOCOL}' & {AWAIT_STOP}; kill -9 $!; wait; touch {GO}; sleep 0.2;"
        f"{sys.executable} -c '{PROTOCOL}'"
    )
    done = judge.run(*STEERED, "slow", "sh", "-c", look, cwd=slow.parent)
    assert done.stdout == "6\n"
    assert "TCP (it has ended)" in done.stderr


def test_a_program_that_forks_while_its_call_is_stopped(judge: Judge, slow: Path) -> None:
    look = (
        "import os, pathlib, socket, threading, time\n"
        "def work(): print(socket.socket().getsockopt(1, 38), flush=True)\n"
        "t = threading.Thread(target=work)\n"
        "t.start()\n"
        f"while not pathlib.Path('{STOPPED}').exists(): time.sleep(0.02)\n"
        "if os.fork() == 0: os._exit(0)\n"
        f"os.wait(); pathlib.Path('{GO}').touch(); t.join()\n"
    )
    done = judge.run(*STEERED, "slow", str(slow), "-c", look, cwd=slow.parent)
    assert done.stdout == "6\n"


def test_a_bug_in_a_steering_means_tcp(judge: Judge, built: Path) -> None:
    done = judge.run(*STEERED, "failing", str(built / "static"), str(PORT), str(OTHER))
    assert done.stdout == "TCP 0\nTCP 0\n"
    assert done.stderr.count("socket: TCP (plait failed: ZeroDivisionError())") == 2


def test_a_steering_that_cannot_start_ends_everything_in_one_line(judge: Judge) -> None:
    done = judge.run(*STEERED, "impossible", "echo", "started")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "there is nothing to steer by\n"
    until(lambda: not judge.helpers(), "nothing is left")


def test_a_steering_can_connect_programs_to_what_it_likes(judge: Judge, built: Path) -> None:
    done = judge.run(*STEERED, "relay", str(built / "raw"), "443", "1")
    assert done.stdout == "relayed to 127.0.0.1 443 0\n"
    assert done.stderr.splitlines()[0].endswith("] 127.0.0.1:1: nothing (port 1)")
    look = (
        "import socket; s = socket.socket(); s.connect(('192.0.2.1', 80));"
        "print(s.recv(99), s.getpeername())"
    )
    named = judge.run(*STEERED, "relay", sys.executable, "-c", look)
    assert named.stdout == "b'relayed to 192.0.2.1 80' ('10.1.2.3', 7)\n", named.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_before_the_command_starts_it_leaves_nothing(judge: Judge, number: int) -> None:
    for milliseconds in range(60, 400, 60):
        process = judge.start(*RUN, "sleep", "9")
        time.sleep(milliseconds / 1000)
        process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=2)
        except subprocess.TimeoutExpired:  # Python ignores what a callback of its importer raises
            process.send_signal(number)
            _, errors = process.communicate(timeout=5)
        if "Could not import runpy" not in errors and "import the site module" not in errors:
            assert process.returncode in {-number, 128 + number}, errors
    until(lambda: not judge.helpers(), "nothing is left")


def test_a_program_can_be_stopped_and_continued_like_any_other(judge: Judge) -> None:
    # In a process group of its own: the kernel does not stop an orphaned one.
    asking = Asking(judge, process_group=0)
    assert asking.ask() == "MPTCP"
    asking.process.send_signal(signal.SIGTSTP)
    state = Path(f"/proc/{asking.process.pid}/stat")
    until(lambda: state.read_text().split()[2] == "T", "it stops")
    asking.process.send_signal(signal.SIGCONT)
    assert asking.ask() == "MPTCP"
