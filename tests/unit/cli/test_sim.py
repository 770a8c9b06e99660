from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from plait.cli.main import run
from plait.cli.options import PolicyOptions
from plait.cli.sim import _with_policies
from plait.sim.making import make_settings
from plait.sim.toml import decode

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


CHOSEN = {
    "one intent": (["--intent", "redundant"], {}, ("redundant", "interfaces", "lia")),
    "with one apart": (
        ["--intent", "redundant", "--cc", "bbr"], {}, ("redundant", "interfaces", "bbr")
    ),
    "one by one": (
        ["--scheduler", "ecf", "--pm", "signal", "--cc", "reno"], {}, ("ecf", "signal", "reno")
    ),
    "the file's": (
        ["--intent", "redundant"], {"scheduler": "ecf"}, ("ecf", "interfaces", "lia")
    ),
    "the file's intent": (
        ["--scheduler", "ecf"], {"intent": "redundant"}, ("redundant", "interfaces", "lia")
    ),
    "none": ([], {}, ("default", "fullmesh", "cubic")),
}  # fmt: skip


@pytest.mark.parametrize(("options", "own", "expected"), CHOSEN.values(), ids=CHOSEN.keys())
def test_policies_are_those_of_hosts_that_have_none(
    options: list[str], own: dict[str, str], expected: tuple[str, ...]
) -> None:
    words = {option.removeprefix("--"): value for option, value in pairwise(options)}
    names = ("pm", "scheduler", "cc", "intent")
    policies = PolicyOptions(**{name: words.get(name) for name in names})
    table = {"hosts": {"a": {"addresses": {}, "settings": own}}}
    (host,) = _with_policies(decode(table), policies).hosts.values()
    settings = make_settings(host.settings)
    assert (settings.scheduler, settings.path_manager, settings.congestion) == expected


def test_policies_change_what_happens(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for options in ([], ["--cc", "bbr"], ["--intent", "handover"]):
        assert (
            run(["sim", str(file), "--json", "-", "--set", "flows.f.octets=400000", *options]) == 0
        )
        told.append(capsys.readouterr().out)
    assert told[0] != told[1]
    assert told[0] == told[2]  # one path, and cubic as well


def test_delays_of_a_stream_are_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["flows.f.kind=stream", "flows.f.rate_mbit=1"]
    assert run(["sim", str(file), *(word for one in changes for word in ("--set", one))]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(" f ")]
    assert ": median 1" in line


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
    "an intent": (["--intent", "x"], "plait sim: unknown intent 'x': choose from aggregate"),
    "a scheduler": (["--scheduler", "x"], "plait sim: unknown scheduler 'x'"),
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
