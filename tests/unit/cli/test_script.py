from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from plait.cli.main import run

RIGHT = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+.5 < S 0:0(0) win 1000 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss SIZE>
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    (tmp_path / "right.pkt").write_text(RIGHT.replace("SIZE", "1460"), encoding="utf-8")
    (tmp_path / "wrong.pkt").write_text(RIGHT.replace("SIZE", "1400"), encoding="utf-8")
    return tmp_path


def test_one_line_for_a_script_that_passes(
    scripts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["script", str(scripts / "right.pkt")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    (line,) = out.splitlines()
    assert line.split()[:2] == ["ok", "stack"]
    assert line.endswith("right.pkt")


def test_a_failure_shows_both_packets_and_what_differs(
    scripts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["script", str(scripts)]) == 1
    out = capsys.readouterr().out
    assert "wrong.pkt:5: the packet differs" in out
    assert "expected  > S. 0:0(0) ack 1 <mss 1400>" in out
    assert "actual    > S. 0:0(0) ack 1 win" in out
    assert "mss value: expected 1400, actual 1460" in out
    assert out.splitlines()[-1] == "1 passed, 1 failed"


def test_verbose_tells_every_packet_with_its_time(
    scripts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["script", "--verbose", str(scripts / "right.pkt")]) == 0
    out = capsys.readouterr().out
    assert "0.500000  < S 0:0(0) win 1000 <mss 1000>" in out
    assert "0.500000  > S. 0:0(0) ack 1 win" in out


def test_reports(scripts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    junit = tmp_path / "report.xml"
    assert run(["script", str(scripts), "--junit", str(junit), "--json", "-"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [result["status"] for result in told["results"]] == ["passed", "failed"]
    suite = ET.parse(junit).getroot()  # noqa: S314 - our own text
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_definitions(tmp_path: Path) -> None:
    path = tmp_path / "t.pkt"
    path.write_text(RIGHT, encoding="utf-8")
    assert run(["script", "-D", "SIZE=1460", str(path)]) == 0
    assert run(["script", "-D", "SIZE=1400", str(path)]) == 1


BAD: dict[str, tuple[list[str], str]] = {
    "no such file": (["nowhere.pkt"], "there is no script"),
    "definition": (["-D", "1=2", "right.pkt"], "write NAME=TEXT"),
    "back end": (["--on", "moon", "right.pkt"], "moon"),
    "none": ([], "Missing argument"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD.keys())
def test_bad_arguments_end_with_2(
    arguments: list[str],
    said: str,
    scripts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(scripts)
    assert run(["script", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_script_that_cannot_be_read_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.pkt"
    path.write_text("0 sendfile(1, 2, 3) = 4\n", encoding="utf-8")
    assert run(["script", str(path)]) == 2
    assert "t.pkt:1: unsupported: syscall sendfile" in capsys.readouterr().out
