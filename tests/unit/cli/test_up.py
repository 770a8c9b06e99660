"""`plait up` and `plait down` without a machine to change; tests/interop has one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from plait.cli.main import run
from plait.drivers import programs
from plait.uplinks import changing, journal
from plait.uplinks.journal import Attachment, Journal, namespace_cookie

DEVICE = Attachment(
    name="plait-none", uplink="eth0", local=("10.201.0.2",), peer=("10.201.0.1/30",), mtu=1500
)


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "DIRECTORY", tmp_path)


def up(*, complete: bool = True) -> None:
    Journal(cookie=namespace_cookie(), steps=[], slots=[[DEVICE]], complete=complete).save()


@pytest.mark.parametrize("name", ["up", "down"])
def test_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert "sudo plait down" in capsys.readouterr().out


def test_down_where_nothing_is_up_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["down"]) == 0
    assert capsys.readouterr().err.count("\n") == 1


def test_down_tells_machines_too(capsys: pytest.CaptureFixture[str]) -> None:
    for was_up in (False, True):
        if was_up:
            up()
        assert run(["down", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"was_up": was_up, "commands": []}


def test_status_tells_what_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"up": False}
    up()
    assert run(["up", "--status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["up"]
    assert told["slots"][0]["state"] == "gone"
    assert told["slots"][0]["devices"][0]["uplink"] == "eth0"
    assert run(["up", "--status"]) == 0
    assert "plait-none by eth0: 10.201.0.2 mtu 1500" in capsys.readouterr().out


REFUSED = {
    "up twice": (["up"], True, "plait is up"),
    "cut short": (["up"], False, "cut short"),
    "nc over what is gone": (["nc", "192.0.2.1", "7"], True, "plait-none of `plait up` is gone"),
    "nc over what was cut short": (["nc", "192.0.2.1", "7"], False, "cut short"),
    "a shared port of the kernel's": (
        ["nc", "-l", "7", "--packet", "eth0,shared"],
        True,
        "port 7 of eth0 is the kernel's",
    ),
    "an unknown owner": (["up", "--owner", "nobody-such"], True, "no such user"),
    "an owner of no number": (["up", "--owner", "99999999999"], True, "no such user"),
    "nc -l over uplinks": (["nc", "-l", "7"], True, "nobody can call"),
}


@pytest.mark.parametrize(("words", "complete", "hint"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_in_one_line(
    words: list[str], complete: bool, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    up(complete=complete)
    assert run(words) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"plait {words[0]}: ")
    assert complaint.count("\n") == 1
    assert hint in complaint


@pytest.mark.parametrize("program", ["nft", "ip"])
def test_a_missing_program_is_told_before_any_change(
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / ("ip" if program == "nft" else "nft")
    other.touch(mode=0o755)
    monkeypatch.setattr(programs, "ENVIRONMENT", {"PATH": str(tmp_path)})
    monkeypatch.setattr(changing, "perform_all", None)  # it is not to come so far
    assert run(["up"]) == 2
    assert f"needs the program {program}" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("nft") is None, reason="no nft: install nftables")
def test_what_is_in_the_way_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(changing, "objects", lambda _: [{"name": "plait", "family": "inet"}])
    assert run(["up", "--dry-run"]) == 2
    assert "nft delete table inet plait" in capsys.readouterr().err
