from __future__ import annotations

import json
from pathlib import Path

import pytest

from plait.cli.main import run

SCENARIO = """
title = "two hosts"
duration_s = 2
[hosts.a]
addresses = { l = "10.0.0.1" }
[hosts.b]
addresses = { l = "10.0.0.2" }
[links.l]
between = ["a", "b"]
rate_mbit = 2
delay_ms = 10
loss = 0.01
[flows.f]
source = "a"
destination = "b"
octets = 100_000
[windows.start]
start_s = 0
stop_s = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "two.toml"
    file.write_text(SCENARIO, encoding="utf-8")
    return file


def test_a_table_for_people(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sim", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0] == "two hosts"
    for wanted in ("2 s of virtual time, seed 1", "10.0.0.1 > 10.0.0.2", "l/forth", "100.00 kB"):
        assert wanted in out


def test_json_is_the_same_for_the_same_seed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for seed in ("3", "3", "4"):
        assert run(["sim", str(file), "--seed", seed, "--json", "-"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    told = json.loads(texts[0])
    assert told["scenario"] == "two.toml"
    assert told["runs"][0]["flows"]["f"]["delivered"] == 100_000


def test_several_runs_have_seeds_that_go_up(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    line = ["sim", str(file), "--runs", "3", "--seed", "7", "--json", str(out)]
    assert run([*line, "--pcap", str(tmp_path / "captures")]) == 0
    assert [told["seed"] for told in json.loads(out.read_text())["runs"]] == [7, 8, 9]
    captures = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.pcap"))
    assert captures == [Path("captures", seed, f"{host}.pcap") for seed in "789" for host in "ab"]
    shown = capsys.readouterr().out
    assert "seeds 7 to 9" in shown
    assert "±" in shown


def test_keys_can_be_set(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--set", "flows.f.octets=5000", "--set", "links.l.loss=0"]
    assert run(["sim", str(file), "--json", "-", *changes]) == 0
    told = json.loads(capsys.readouterr().out)["runs"][0]
    assert told["flows"]["f"]["delivered"] == 5000
    assert told["links"]["l/forth"]["lost"] == 0


def test_a_plot(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.svg"
    assert run(["sim", str(file), "--plot", str(picture)]) == 0
    assert "10.0.0.1" in picture.read_text() or picture.stat().st_size > 10_000


IMPOSSIBLE = {
    "a key": (["--set", "links.l.color=red"], "two.toml: links.l.color: unknown key"),
    "a rate": (["--set", "links.l.rate_mbit=-1"], "two.toml: links.l.rate_mbit must be more"),
    "a topology": (["--set", "flows.f.source=x"], "two.toml: flows.f: source: there is no host"),
    "a change": (["--set", "nonsense"], "two.toml: 'nonsense' is not KEY=VALUE"),
    "a plot": (["--plot", "x.pdf"], "x.pdf: the name of a plot ends in"),
    "no runs": (["--runs", "0"], "Invalid value for '--runs'"),
}


@pytest.mark.parametrize(("options", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_the_impossible_is_one_line_and_status_2(
    options: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sim", str(file), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("plait sim: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sim", "nothing.toml"]) == 2
    assert "nothing.toml" in capsys.readouterr().err
