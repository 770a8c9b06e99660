"""`--udp` of the commands, as programs on loopback that need no privilege."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.cli import udp
from plait.cli.main import run
from plait.cli.options import NetworkOptions
from plait.cli.udp import UdpPaths
from plait.drivers.udp import Udp, UdpSpec
from plait.host.settings import Settings

PLAIT = [sys.executable, "-m", "plait.cli"]
WORDS = "sixteen octets at least"


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text(WORDS + "\n")
    file.chmod(0o600)
    return str(file)


@pytest.fixture
def port() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def start(*words: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([*PLAIT, *words], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_two_paths_to_a_listener(secret: str, port: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    shared = ("--secret-file", secret, "--udp-port", port)
    with start("perf", "server", "5001", "-1", "-v", "--udp", "127.0.0.1", *shared) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening on port 5001\n"
        client = start(
            "perf", "client", "127.0.0.1", "5001", "--bytes", "3000000", "--json", str(report),
            "--udp", "127.0.0.2", "--udp", "127.0.0.3:0", *shared,
        )  # fmt: skip
        out, err = client.communicate(timeout=20)
        assert client.returncode == 0, err
        assert "3.00 MB" in out
        _, told = server.communicate(timeout=20)
    assert told.count(": opened\n") == 2
    written = json.loads(report.read_text())
    assert len(written["subflows"]) == 2
    assert [(one["addresses"], one["opened"], one["strange"]) for one in written["drivers"]] == [
        (["127.0.0.2"], 1, 0),
        (["127.0.0.3"], 1, 0),
    ]


def test_another_secret_is_hinted_at(secret: str, port: str) -> None:
    options = NetworkOptions(udp=("127.0.0.2",), udp_port=int(port), secret_file=secret)

    async def main() -> None:
        paths = UdpPaths(options, listening=False)
        stack = Stack(paths.open(), Settings(syn_retries=0))
        async with stack, paths.told(verbose=False):
            await open_connection("127.0.0.1", 5001, backend=stack)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", int(port)))
        with pytest.raises(TimeoutError, match=f"answered on UDP port {port}: is the secret"):
            asyncio.run(main())


def test_silence_is_hinted_at_early_and_once(
    secret: str, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(udp, "HINT_SECONDS", 0.5)
    options = NetworkOptions(udp=("127.0.0.2",), udp_port=int(port), secret_file=secret)

    async def main() -> None:
        paths = UdpPaths(options, listening=False)
        async with Stack(paths.open()) as stack, paths.told(verbose=False):
            async with asyncio.timeout(1.5):
                await open_connection("127.0.0.1", 5001, backend=stack)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", int(port)))
        with pytest.raises(TimeoutError):
            asyncio.run(main())
    assert capsys.readouterr().err == (
        f"nobody answers on UDP port {port} yet: is the secret the same there, and does it "
        "listen?\n"
    )


def test_who_was_answered_once_has_the_right_secret(
    secret: str, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(udp, "HINT_SECONDS", 0.25)
    options = NetworkOptions(udp=("127.0.0.2",), udp_port=int(port), secret_file=secret)

    async def main() -> None:
        there = UdpSpec(local=ip_address("127.0.0.1"), secret=WORDS.encode(), port=int(port))
        paths = UdpPaths(options, listening=False)
        async with Stack([Udp(there)]) as far, Stack(paths.open()) as near:
            await start_server(lambda _, writer: writer.close(), None, 5001, backend=far)
            async with paths.told(verbose=False):
                _, writer = await open_connection("127.0.0.1", 5001, backend=near)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1):
                        await open_connection("127.0.0.3", 5001, backend=near)
                writer.close()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.3", int(port)))
        asyncio.run(main())
    assert capsys.readouterr().err == ""


MISTAKES = {
    "no secret": (["--udp", "127.0.0.2"], "PLAIT_SECRET"),
    "no file": (["--udp", "127.0.0.2", "--secret-file", "/nowhere"], "cannot read the secret"),
    "bad path": (["--udp", "::1", "--secret-file", "SECRET"], "in brackets"),
    "not ours": (["--udp", "192.0.2.77", "--secret-file", "SECRET"], "has the address"),
    "port of many digits": (
        ["--udp", f"127.0.0.2:{'9' * 5000}", "--secret-file", "SECRET"],
        "bad UDP path",
    ),
    "no interface": (["--udp", "127.0.0.2@x9", "--secret-file", "SECRET"], "interface 'x9'"),
    "kernel": (["--udp", "127.0.0.2", "--via", "kernel"], "--via stack only"),
}


@pytest.mark.parametrize(("words", "complaint"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_one_line(
    words: list[str],
    complaint: str,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PLAIT_SECRET", raising=False)
    words = [secret if word == "SECRET" else word for word in words]
    assert run(["nc", "127.0.0.1", "5001", *words]) == 2
    shown = capsys.readouterr().err
    assert complaint in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("value", ["", "short"])
def test_a_bad_secret_of_the_environment(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "PLAIT_SECRET", value)
    assert run(["nc", "127.0.0.1", "5001", "--udp", "127.0.0.2"]) == 2
    assert "secret" in capsys.readouterr().err


def test_a_secret_that_others_can_read_is_warned_of(
    secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(secret).chmod(0o644)
    words = ["nc", "127.0.0.1", "5001", "--udp", "192.0.2.77", "--secret-file", secret]
    assert run(words) == 2
    assert f"chmod 600 {secret}" in capsys.readouterr().err
