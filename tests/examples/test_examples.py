"""Every program in examples/, run as its first lines say."""

from __future__ import annotations

import io
import re
import runpy
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from support.served import BODY, SERVER, Served, served

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
SECONDS = 20


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]


def run(name: str, *arguments: str, status: int = 0) -> str:
    """Return what a program says, run in this process, which has its imports."""
    program = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        patch.setattr(sys, "argv", [name, *arguments])
        assert program["main"]() == status, said.getvalue()
    return said.getvalue()


@contextmanager
def running(name: str, *arguments: str) -> Iterator[Popen[str]]:
    """Run a program as a process while the block lasts; end what hangs."""
    with Popen(command(name, *arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as made:
        watch = threading.Timer(SECONDS, made.kill)
        watch.start()
        try:
            yield made
        finally:
            watch.cancel()
            made.kill()


@contextmanager
def serving(name: str, *arguments: str) -> Iterator[tuple[Popen[str], int]]:
    """Run a server, which tells its port, and interrupt it."""
    with running(name, *arguments, "--port", "0") as server:
        found = re.search(r"(\d+)/?$", line_of(server))
        assert found
        yield server, int(found[1])
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate()
        assert (server.returncode, errors) == (130, "")


def line_of(program: Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def say(program: Popen[str], line: str) -> str:
    """Give a line to a program and return the first of its answer."""
    assert program.stdin is not None
    program.stdin.write(f"{line}\n")
    program.stdin.flush()
    return line_of(program)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_help_tells_the_options(program: Path) -> None:
    said = io.StringIO()
    with redirect_stdout(said), pytest.raises(SystemExit, match="0"):
        run(program.stem, "--help")
    assert len(program.read_text().splitlines()) < 100


def test_two_hosts_in_one_process_echo() -> None:
    lines = run("echo", "two", "words").splitlines()
    assert lines[:2] == ["two", "words"]
    assert len([line for line in lines if ">" in line]) >= 2


def test_the_echo_server_tells_what_connections_run_on() -> None:
    local = ["127.0.0.1", "--backend", "tcp"]
    with serving("echo_server", "--host", *local) as (server, port):
        with running("subflows", *local, str(port)) as client:
            assert "the connection is plain TCP" in say(client, "list")
            client.communicate("hello\n")
            assert client.returncode == 0
        assert "tcp, TCP" in line_of(server)
        assert "6 octets" in line_of(server)


def test_the_web_client_fetches_from_the_web_server() -> None:
    with serving("aiohttp_server", "--host", "127.0.0.1") as (_, port):
        url = f"http://127.0.0.1:{port}/"
        said = run("aiohttp_client", url, f"{url}data/10")
        assert '"backend": ' in said
        assert "\0" * 10 in said
        assert re.search("(kernel|tcp), [01] paths", said)
        assert "404" in run("aiohttp_client", f"{url}nothing", status=1)


@pytest.mark.parametrize("name", ["aiohttp_client", "download"])
def test_nobody_there_is_one_line(name: str) -> None:
    said = run(name, "http://127.0.0.1:9/", status=1)
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_the_scheduler_decides_which_path_carries_what() -> None:
    told = run("scheduler", "default", "redundant", "--megabytes", "2")
    shares = [sum(map(float, re.findall(r"([\d.]+) MB", part))) for part in told.split("redundant")]
    assert shares[1] > shares[0]
    assert "choose from" in run("scheduler", "fastest", status=1)


def test_a_transfer_migrates_whole() -> None:
    told = run("migrate", "--megabytes", "16")
    assert "all arrived" in told
    for address in ("10.0.1.1", "10.0.2.1"):
        carried = re.findall(rf"{re.escape(address)}:\d+ > .*: ([\d.]+) MB", told)
        assert sum(map(float, carried)) > 1


@pytest.fixture
def kernel() -> Iterator[Served]:
    with served("kernel") as made:
        yield made


def test_a_download_shows_what_comes_by_which_address(kernel: Served, tmp_path: Path) -> None:
    target = tmp_path / "body"
    url = kernel.url("body")
    told = kernel.inside(lambda: run("download", url, "-o", str(target), "--backend", "kernel"))
    assert target.read_bytes() == BODY
    assert "4.2 of 4.2 MB" in told
    assert "by 10.0.1.1" in told


def test_subflows_are_opened_and_closed_by_hand(kernel: Served) -> None:
    assert kernel.near is not None
    kernel.near.set_sysctl("net.mptcp.pm_type", 1)

    def talk() -> None:
        port = str(kernel.ports["http"])
        with running("subflows", SERVER, port, "--backend", "kernel") as program:
            assert say(program, "list").startswith("1: 10.0.1.1:")
            assert say(program, "open 10.0.2.1") == "opening 2"
            time.sleep(0.2)  # joining takes a moment
            assert say(program, "close 1") == "closing 1"
            time.sleep(0.2)
            assert say(program, "list").startswith("2: 10.0.2.1:")
            assert say(program, "close 7").startswith("error: ")
            assert say(program, "open nowhere").startswith("error: ")
            program.communicate()
            assert program.returncode == 0

    kernel.inside(talk)
