"""Unmodified programs under `plait run`; beside each, what LD_PRELOAD makes of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from programs.judge import OTHER, PORT, RUN, USER, USERS_PYTHON, Judge, until

from plait.linux.families import IPPROTO_MPTCP

pytestmark = pytest.mark.privileged

NODE = (
    f"require('net').connect({PORT}, '127.0.0.1', function () {{ this.end('?') }})"
    ".on('data', data => console.log(String(data)))"
)
PYTHON = (
    "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
    "s.sendall(b'?'); print(s.recv(9).decode())"
)
SETPRIV = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")

PROGRAMS = {
    "curl": (["curl", "-s", f"127.0.0.1:{PORT}"], "MPTCP"),
    "python": ([sys.executable, "-c", PYTHON, str(PORT)], "MPTCP"),
    "dynamic C": (["{built}/dynamic", str(PORT)], "MPTCP"),
    "static C": (["{built}/static", str(PORT)], "TCP"),
    "raw system calls": (["{built}/raw", str(PORT)], "TCP"),
    "node": (["node", "-e", NODE], "MPTCP"),
    "setuid": ([*SETPRIV, "{built}/setuid", str(PORT)], "TCP"),
    "cleaned environment": (["env", "-i", "{built}/dynamic", str(PORT)], "TCP"),
}
"""What to run, and what it becomes with LD_PRELOAD."""


@pytest.mark.parametrize(("words", "preloaded"), PROGRAMS.values(), ids=PROGRAMS.keys())
def test_every_program_becomes_multipath(
    judge: Judge, built: Path, words: list[str], preloaded: str
) -> None:
    if shutil.which(words[0]) is None and "{" not in words[0]:
        pytest.skip(f"there is no {words[0]}")
    program = [word.format(built=built) if "{built}" in word else word for word in words]
    shim = {**os.environ, "LD_PRELOAD": str(built / "shim.so")}

    def got(*before: str, **options: dict[str, str]) -> str:
        done = judge.run(*before, *program, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[0]

    assert got() == "TCP"
    assert judge.counted("MPCapableSYNRX") == 0
    assert got(env=shim) == preloaded
    before = judge.counted("MPCapableSYNACKRX")
    assert got(*RUN, "--") == "MPTCP"
    assert judge.counted("MPCapableSYNACKRX") == before + 1


def test_a_setuid_program_keeps_its_privilege_under_roots_supervisor(
    judge: Judge, built: Path
) -> None:
    done = judge.run(*RUN, *SETPRIV, str(built / "setuid"), str(PORT))
    assert done.stdout == "MPTCP 0\n"


def test_an_ordinary_user_needs_nothing_but_loses_setuid(
    judge: Judge, built: Path, as_user: dict[str, Any]
) -> None:
    run = [USERS_PYTHON, "-m", "plait.cli", "run"]
    done = judge.run(*run, str(built / "setuid"), str(PORT), **as_user)
    assert done.stdout == f"MPTCP {USER}\n", done.stderr
    words = ("--only", f"*:{OTHER}", "--", "sh", "-c", f"{built}/static {PORT} {OTHER}")
    chosen = judge.run(*run, *words, **as_user)
    if "ptrace_scope" in chosen.stderr:
        pytest.skip("Yama keeps users from looking into their programs")
    assert chosen.stdout == f"TCP {USER}\nMPTCP {USER}\n", chosen.stderr


def test_all_of_a_tree_of_processes_becomes_multipath(judge: Judge, built: Path) -> None:
    tree = (
        f"curl -s 127.0.0.1:{PORT} & {sys.executable} -c {PYTHON!r} {PORT} & {built}/raw {PORT} &"
        f"(setsid {built}/static {PORT} &) ; wait; sleep 0.3"
    )
    done = judge.run(*RUN, "--", "sh", "-c", tree)
    said = done.stdout.replace("MPTCP", " MPTCP ").split()
    assert [word for word in said if word != "0"] == ["MPTCP"] * 4, done.stderr


def test_a_server_listens_for_multipath(judge: Judge, tmp_path: Path) -> None:
    port = 8000
    words = ("python3", "-m", "http.server", str(port), "--bind", "127.0.0.1")
    judge.start(*RUN, "--", *words, cwd=tmp_path)

    def connected() -> tuple[int, bytes] | None:
        def connect() -> tuple[int, bytes] | None:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as sock:
                if sock.connect_ex(("127.0.0.1", port)):
                    return None
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                is_mptcp = sock.getsockopt(socket.IPPROTO_TCP, 43)
                return is_mptcp, sock.recv(8)

        return judge.namespace.run(connect)

    assert until(connected, "the server listens") == (1, b"HTTP/1.0")


def test_a_program_sees_an_ordinary_socket(judge: Judge) -> None:
    look = (
        "import os, fcntl, socket as s\n"
        "for flags in (0, s.SOCK_NONBLOCK, s.SOCK_CLOEXEC):\n"
        "  fd = s.socket(s.AF_INET6, s.SOCK_STREAM | flags).detach()\n"
        "  one = s.socket(fileno=fd)\n"
        "  print(one.proto, one.getblocking(), fcntl.fcntl(fd, 1))\n"
        "for kind in ((1, 2, 0), (2, 2, 0), (2, 1, 132), (2, 3, 1)):\n"
        "  try: print(s.socket(*kind).proto)\n"
        "  except OSError: print('none')\n"
    )
    judge.run(sys.executable, "-c", look)
    plain, run = (judge.run(*before, sys.executable, "-c", look) for before in ((), RUN))
    assert run.stdout.replace("262", "6") == plain.stdout
    assert run.stdout.count("262") == 3


def test_what_programs_got_is_explained(judge: Judge, built: Path, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    words = ("--explain", "--json", str(told), "--except", f"*:{OTHER}")
    done = judge.run(*RUN, *words, str(built / "dynamic"), str(PORT), str(OTHER))
    assert done.stdout == "MPTCP 0\nTCP 0\n"
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("plait run: dynamic[")
    assert lines[0].endswith(f"] 127.0.0.1:{PORT}: MPTCP (by its destination)")
    assert lines[1].endswith(f"] 127.0.0.1:{OTHER}: TCP (by its destination)")
    first, second = (json.loads(line) for line in told.read_text().splitlines())
    assert (first["got"], second["got"]) == ("MPTCP", "TCP")
    assert first["destination"] == f"127.0.0.1:{PORT}"
    assert f"dynamic[{first['pid']}]" in lines[0]


def test_where_multipath_is_off_programs_get_tcp_and_hear_why(judge: Judge, built: Path) -> None:
    judge.namespace.set_sysctl("net.mptcp.enabled", 0)
    for via in ("auto", "kernel"):
        words = ("--via", via, "--explain", "--", str(built / "static"), str(PORT))
        done = judge.run(*RUN, *words)
        assert done.stdout == "TCP 0\n"
        first, *rest = done.stderr.splitlines()
        assert "run `sysctl net.mptcp.enabled=1`" in first
        whys = ["TCP (Multipath TCP is off in this network namespace" in line for line in rest]
        assert whys == ([True] if via == "kernel" else [])
