"""What `plait run` says before it becomes the command; `tests/programs` has the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plait.cli.main import run

_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
needs_seccomp = pytest.mark.skipif(
    not _ACTIONS.exists() or "user_notif" not in _ACTIONS.read_text(),
    reason="the kernel has no seccomp user notification",
)

MISTAKES = {
    "no command": (["run"], "missing argument"),
    "no such rung": (["run", "--via", "pigeon", "true"], "pigeon"),
    "no port": (["run", "--only", "10.0.0.1", "true"], "is not HOST:PORT: write 10.0.0.1:*"),
    "no such name": (["run", "--except", "nowhere.invalid:1", "true"], "cannot resolve"),
    "no such folder": (["run", "--json", "/no/folder", "true"], "cannot write /no/folder"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("plait run: ")
    assert message in line.lower() or message in line


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--help"]) == 0
    assert "plait run curl https://example.com/" in capsys.readouterr().out


PLAIT = [sys.executable, "-m", "plait.cli", "run"]


def plait(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PLAIT, *words], capture_output=True, text=True, check=False, timeout=20)


@needs_seccomp
def test_the_command_keeps_our_pid_arguments_and_folder() -> None:
    look = "import os, sys; print(os.getpid(), os.getcwd(), sys.argv[1:], os.getppid())"
    line = [*PLAIT, sys.executable, "-c", look, "--only", "-x"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    expected = f"{process.pid} {Path.cwd()} ['--only', '-x'] {os.getpid()}\n"
    assert said == expected


@needs_seccomp
def test_the_command_has_the_descriptors_and_signals_it_would_have_without_us() -> None:
    look = (
        "import os, signal; print(sorted(os.listdir('/proc/self/fd')),"
        "open('/proc/self/status').read().partition('SigBlk:')[2][:99])"
    )
    words = [sys.executable, "-S", "-c", look]
    reader, writer = os.pipe()
    said = {
        subprocess.run(line, pass_fds=[reader], stdout=-1, check=True).stdout.split(b"SigCgt")[0]
        for line in (words, [*PLAIT, "--", *words])
    }
    os.close(reader)
    os.close(writer)
    assert len(said) == 1
    assert f"'{reader}'".encode() in said.pop()


@needs_seccomp
def test_json_goes_to_standard_output_on_request() -> None:
    done = plait("--json", "-", "--", sys.executable, "-c", "import socket; socket.socket()")
    told = json.loads(done.stdout)
    assert (told["call"], told["destination"]) == ("socket", None)
    assert told["got"] in {"MPTCP", "TCP"}
