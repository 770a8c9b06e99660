from __future__ import annotations

from pathlib import Path

import pytest

from plait.cli.main import run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "lib/systemd/system"
    folder.mkdir(parents=True)
    (folder / "web.service").write_text("[Service]\nExecStart=/bin/web --port 80\n")
    return tmp_path


def test_a_service_is_enabled_listed_and_disabled(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--root", str(root)]
    drop_in = root / "etc/systemd/system/web.service.d/plait.conf"
    choice = ["--only", "10.0.0.0/8:*", "--except", "*:22"]
    assert run(["unit", "enable", "web", *choice, *where]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"wrote {drop_in}:\n\n{drop_in.read_text()}")
    assert "systemctl daemon-reload" in said
    *_, line = drop_in.read_text().splitlines()
    assert line.startswith("ExecStart=/")
    options = "run --via auto --only 10.0.0.0/8:* --except *:22 -- /bin/web --port 80"
    assert line.endswith(options)
    assert run(["unit", "status", *where]) == 0
    assert capsys.readouterr().out == f"web.service: {line.removeprefix('ExecStart=')}\n"
    assert run(["unit", "disable", "web", *where]) == 0
    assert capsys.readouterr().out.startswith(f"removed {drop_in}\n")
    assert run(["unit", "status", *where]) == 0
    assert capsys.readouterr().out == ""


MISTAKES = {
    "no service": (["enable", "nothing"], "plait unit enable: there is no service"),
    "no choice": (["enable", "web", "--only", "here"], "plait unit enable: 'here' is not HOST"),
    "not enabled": (["disable", "web"], "plait unit disable: web.service is not enabled"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_status_2(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(["unit", *words, "--root", str(root)]) == 2
    line = capsys.readouterr().err
    assert line.startswith(message)
    assert line.count("\n") == 1
