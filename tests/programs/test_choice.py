"""`--only` and `--except`: one program, some destinations over Multipath TCP."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from programs.judge import OTHER, PORT, RUN, Judge

pytestmark = pytest.mark.privileged

CHOICES = {
    "only a port": (["--only", f"*:{PORT}"], ["MPTCP", "TCP"]),
    "only a network": (["--only", f"127.0.0.0/8:{OTHER}"], ["TCP", "MPTCP"]),
    "only a name": (["--only", f"localhost:{PORT}"], ["MPTCP", "TCP"]),
    "only another host": (["--only", "192.0.2.1:*"], ["TCP", "TCP"]),
    "several": (["--only", f"192.0.2.1:*,127.0.0.1:{PORT}", "--only", f"*:{OTHER}"], ["MPTCP"] * 2),
    "all but a port": (["--except", f"*:{PORT}"], ["TCP", "MPTCP"]),
    "only and all but": (["--only", "*:*", "--except", f"127.0.0.1:{OTHER}"], ["MPTCP", "TCP"]),
}


@pytest.mark.parametrize(("options", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_each_destination_gets_what_was_chosen(
    judge: Judge, built: Path, options: list[str], expected: list[str]
) -> None:
    done = judge.run(*RUN, *options, "--", str(built / "raw"), str(PORT), str(OTHER))
    assert [line.split()[0] for line in done.stdout.splitlines()] == expected, done.stderr


def test_a_replaced_socket_is_what_it_was(judge: Judge) -> None:
    look = (
        "import os, socket as s, sys\n"
        f"one = s.socket(s.AF_INET6); to = ('::ffff:127.0.0.1', {PORT})\n"
        "one.setsockopt(s.IPPROTO_IPV6, s.IPV6_V6ONLY, 0)\n"
        "one.setsockopt(s.IPPROTO_TCP, s.TCP_NODELAY, 1)\n"
        "one.setsockopt(s.SOL_SOCKET, s.SO_RCVBUF, 77777)\n"
        "one.bind(('::ffff:127.0.0.9', int(sys.argv[1]))); one.setblocking(False)\n"
        "before = one.fileno(), one.get_inheritable()\n"
        "try: one.connect(to)\n"
        "except BlockingIOError: print('in progress')\n"
        "print(before == (one.fileno(), one.get_inheritable()), os.get_blocking(one.fileno()),\n"
        "  one.getsockname()[:2], one.getsockopt(s.SOL_SOCKET, s.SO_RCVBUF),\n"
        "  one.getsockopt(s.IPPROTO_TCP, s.TCP_NODELAY), one.getsockopt(1, 38))\n"
        "one.setblocking(True); one.sendall(b'?'); print(one.recv(9))\n"
    )
    program = (sys.executable, "-c", look)
    plain = judge.run(*program, "4444")
    chosen = judge.run(*RUN, "--only", "127.0.0.1:*", "--", *program, "4445")
    assert plain.stdout.endswith("b'TCP'\n"), plain.stderr
    expected = plain.stdout.replace("4444", "4445").replace(" 6\n", " 262\n")
    assert chosen.stdout == expected.replace("b'TCP'", "b'MPTCP'"), chosen.stderr


def test_sockets_that_are_not_tcp_connect_as_ever(judge: Judge, tmp_path: Path) -> None:
    look = (
        "import socket as s\n"
        "listener = s.socket(s.AF_UNIX); listener.bind('here'); listener.listen()\n"
        "s.socket(s.AF_UNIX).connect('here')\n"
        "udp = s.socket(type=s.SOCK_DGRAM); udp.connect(('127.0.0.1', 9)); print(udp.proto)\n"
        f"one = s.socket(); one.connect(('127.0.0.1', {PORT}))\n"
        "print(one.connect_ex(one.getpeername()))\n"
        "try: s.socket(fileno=0).connect(('127.0.0.1', 1))\n"
        "except OSError as error: print(error.errno)\n"
    )
    words = (sys.executable, "-c", look)
    plain = judge.run(*words, cwd=tmp_path, stdin=-3)
    (tmp_path / "here").unlink()
    chosen = judge.run(*RUN, "--only", "*:*", "--", *words, cwd=tmp_path, stdin=-3)
    assert (chosen.stdout, chosen.returncode) == (plain.stdout, plain.returncode), chosen.stderr


def test_servers_are_tcp_if_connections_are_chosen_and_multipath_if_they_are_excepted(
    judge: Judge,
) -> None:
    look = "import socket; s = socket.socket(); s.listen(); print(s.getsockopt(1, 38))"
    only = judge.run(*RUN, "--only", "*:*", "--", sys.executable, "-c", look)
    excepted = judge.run(*RUN, "--except", "*:1", "--", sys.executable, "-c", look)
    assert (only.stdout, excepted.stdout) == ("6\n", "262\n")
