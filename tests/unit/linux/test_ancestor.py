"""A command below its supervisor, as it has to be where Yama guards memory."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.terminal import INTERRUPT, SUSPEND, Terminal

from plait.linux.ancestor import only_ancestors_look

_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")

pytestmark = pytest.mark.skipif(
    not _ACTIONS.exists() or "user_notif" not in _ACTIONS.read_text(),
    reason="the kernel has no seccomp user notification",
)

SECONDS = 20
STEERINGS = Path(__file__).parents[2] / "programs/steerings.py"
BELOW = [sys.executable, str(STEERINGS), "--below", "kin"]
CONNECT = (
    "import socket, sys; s = socket.socket();"
    "s.connect(('127.0.0.1', int(sys.argv[1]))); print('connected', flush=True)"
)


def start(*words: str, leads: bool = False) -> subprocess.Popen[str]:
    """Start a command that leads a session or a process group."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*BELOW, *words], stdin=pipe, stdout=pipe, stderr=pipe, text=True,
        process_group=None if leads else 0, start_new_session=leads,
    )  # fmt: skip


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(one) for one in text.split()]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def gone(pid: int) -> bool:
    try:
        return state(pid) == "Z"
    except OSError:
        return True


def connecting(folder: Path) -> Path:
    """Return a program that connects."""
    script = folder / "connect"
    script.write_text(f"#!{sys.executable}\n{CONNECT}\n")
    script.chmod(0o755)
    return script


TREES = {
    "the command": "{connect}",
    "its child": "sh -c '{connect}; true'",
    "an orphan": "({connect} > told 2>&1 &); while [ ! -s told ]; do sleep 0.02; done; cat told",
    "a session of its own": "(setsid {connect} > told 2>&1 &) ;"
    "while [ ! -s told ]; do sleep 0.02; done; cat told",
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_whoever_is_looked_into_descends_from_the_supervisor(
    tmp_path: Path, port: str, tree: str
) -> None:
    line = tree.format(connect=f"{connecting(tmp_path)} {port}")
    done = subprocess.run(
        [*BELOW, "sh", "-c", line],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    assert done.stdout == "connected\n"
    assert done.stderr.endswith(f"127.0.0.1:{port}: TCP (kin)\n")


def test_without_that_it_is_a_stranger(port: str) -> None:
    words = [word for word in BELOW if word != "--below"]
    done = subprocess.run(
        [*words, sys.executable, "-c", CONNECT, port],
        capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    assert done.stderr.endswith("TCP (a stranger)\n")


ENDS = {
    "exit 7": 7,
    "true": 0,
    "kill -9 $$": -signal.SIGKILL,
    "kill -ABRT $$": -signal.SIGABRT,
    "trap 'exit 5' TERM; kill $$; sleep 9 & wait": 5,
}


@pytest.mark.parametrize(("line", "status"), ENDS.items())
def test_the_exit_status_is_the_commands(line: str, status: int) -> None:
    process = start("sh", "-c", line)
    process.communicate(timeout=SECONDS)
    assert process.returncode == status


def test_a_parent_that_ignores_its_children() -> None:
    line = f"trap '' CHLD; exec {' '.join(BELOW)} sh -c 'exit 7'"
    assert subprocess.run(["sh", "-c", line], check=False, timeout=SECONDS).returncode == 7


COUNT = (
    "import signal, time\n"
    "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGWINCH):\n"
    "  signal.signal(number, lambda number, _: print(number, flush=True))\n"
    "print('ready', flush=True)\n"
    "for _ in range(10): time.sleep(0.03)\n"
)


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGWINCH])
def test_a_signal_for_the_process_reaches_the_command_once(number: int, leads: bool) -> None:
    process = start(sys.executable, "-c", COUNT, leads=leads)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=SECONDS)[0] == f"{int(number)}\n"
    assert process.returncode == 0


def test_a_signal_for_the_group_reaches_the_command_once() -> None:
    process = start(sys.executable, "-c", COUNT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=SECONDS)[0] == f"{int(signal.SIGINT)}\n"
    assert process.returncode == 0


def test_who_kills_the_process_kills_the_command() -> None:
    process = start("sh", "-c", "echo $$; exec sleep 99")
    assert process.stdout is not None
    command = int(process.stdout.readline())
    process.kill()
    until(lambda: gone(command))
    process.communicate(timeout=SECONDS)
    assert process.returncode == -signal.SIGKILL


def test_a_command_goes_on_when_its_supervisor_is_killed(port: str) -> None:
    look = f"input(); import sys; sys.argv = ['', '{port}']; {CONNECT}; sys.exit(7)"
    process = start(sys.executable, "-c", f"print('ready', flush=True); {look}")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (supervisor,) = children(process.pid)
    os.kill(supervisor, signal.SIGKILL)
    out, _ = process.communicate("go\n", timeout=SECONDS)
    assert (out, process.returncode) == ("connected\n", 7)


def test_a_daemon_is_served_to_its_end_and_holds_up_nobody(tmp_path: Path, port: str) -> None:
    waiting = "while [ ! -e go ]; do sleep 0.02; done"
    daemon = f"({waiting}; {connecting(tmp_path)} {port}) > told 2>&1 < /dev/null & echo $PPID"
    done = subprocess.run(
        [*BELOW, "sh", "-c", daemon],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    supervisor = int(done.stdout)
    assert Path(f"/proc/{supervisor}/comm").read_text() == "plait-supervise\n"
    assert children(supervisor)
    (tmp_path / "go").touch()
    until((tmp_path / "told").read_text)
    assert (tmp_path / "told").read_text() == "connected\n"
    until(lambda: gone(supervisor))


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_keys_and_job_control_are_those_of_a_shell() -> None:
    terminal = Terminal()
    try:
        ask = "while True: print('said', input('> '))"
        terminal.type(f'{" ".join(BELOW)} {sys.executable} -c "{ask}"\n')
        terminal.expect("> ")
        terminal.type("one\n")
        terminal.expect("said one")
        terminal.type(SUSPEND)
        terminal.expect("Stopped")
        terminal.type("echo $((6 * 7)); fg\n")
        terminal.expect("42")
        terminal.type("two\n")
        terminal.expect("said two")
        terminal.type(INTERRUPT)
        terminal.expect("KeyboardInterrupt")
        terminal.type("echo ended $?\n")
        assert int(terminal.expect(r"ended (\d+)")) == 128 + signal.SIGINT
    finally:
        terminal.close()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_it_goes_on_in_the_background_and_in_pipelines(tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"while not os.path.exists('{go}'): time.sleep(0.02)"
    script = tmp_path / "script"
    script.write_text(f"import os, time\nprint('here', flush=True)\n{wait}\nprint('there')\n")
    terminal = Terminal()
    try:
        terminal.type(f"{' '.join(BELOW)} {sys.executable} {script} | cat\n")
        terminal.expect("\nhere\r\n")
        terminal.type(SUSPEND)
        terminal.expect("Stopped")
        terminal.type("bg\n")
        go.touch()
        terminal.expect("there\r\n")
        terminal.type(f"{' '.join(BELOW)} cat &\n")
        terminal.type("sleep 1; jobs\n")
        terminal.expect("Stopped")  # it may not read
        terminal.type("fg\n")
        terminal.expect(r"\nfg\r\n[^\n]* cat\r\n")
        terminal.type("back\n")
        terminal.expect("back\r\nback\r\n")
    finally:
        terminal.close()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_who_hangs_up_ends_the_command() -> None:
    terminal = Terminal()
    try:
        away = "import os, time; os.setpgid(0, 0); print('pid', os.getpid()); time.sleep(99)"
        terminal.type(f'exec {" ".join(BELOW)} {sys.executable} -uc "{away}"\n')
        command = int(terminal.expect(r"pid (\d+)"))  # its group is not the terminal's
    finally:
        terminal.close()
    until(lambda: gone(command))


YAMAS = {
    "none": (None, 0, False),
    "off": ("0", 0, False),
    "an ordinary user": ("1", 0, True),
    "another capability": ("1", 1 << 18, True),
    "CAP_SYS_PTRACE": ("1", 1 << 19, False),
    "nobody may": ("2", 0, False),
}


@pytest.mark.parametrize(("scope", "capabilities", "expected"), YAMAS.values(), ids=YAMAS)
def test_where_only_ancestors_look(
    tmp_path: Path, scope: str | None, capabilities: int, expected: bool
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text(f"Name:\tx\nCapEff:\t{capabilities:016x}\nCapBnd:\t0\n")
    if scope is not None:
        (tmp_path / "sys/kernel/yama").mkdir(parents=True)
        (tmp_path / "sys/kernel/yama/ptrace_scope").write_text(f"{scope}\n")
    assert only_ancestors_look(tmp_path) is expected
