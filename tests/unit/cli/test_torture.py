from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.build import interpreted

from plait.cli.main import run
from plait.host.connections import Connections


def test_seeds_that_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["torture", "--seeds", "1-3"]) == 0
    assert capsys.readouterr().out.startswith("3 of 3 seeds passed, ")


def test_processes_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["torture", "--seeds", "1-6", "--json"]) == 0
    alone = capsys.readouterr().out
    assert run(["torture", "--seeds", "1-6", "--json", "--jobs", "2"]) == 0
    assert capsys.readouterr().out == alone
    assert [verdict["seed"] for verdict in json.loads(alone)["verdicts"]] == list(range(1, 7))


@interpreted
def test_a_failure_is_told_shrunk_and_captured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connections, "forget_subflow", lambda *_: None)
    assert run(["torture", "--seeds", "2", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    again = next(line for line in told.splitlines() if "again:" in line).split()
    assert "seed 2 failed: residue" in told
    assert (tmp_path / "2.txt").read_text(encoding="utf-8").strip() in told
    assert (tmp_path / "2.pcap").stat().st_size > 100
    assert run([*again[2:], "--out", str(tmp_path)]) == 1
    assert "seed 2 failed: residue" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [["--seeds", "9-1"], ["--seeds", "x"], ["--without", "a"], ["--jobs", "0"]],
    ids=["empty", "no number", "no fault", "no process"],
)
def test_bad_options(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["torture", *options]) == 2
    assert capsys.readouterr().err.startswith("plait torture: ")


def test_listing_shows_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["torture", "--seeds", "84-84", "--list"]) == 0
    assert "path 0: " in capsys.readouterr().out
