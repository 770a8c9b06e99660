from __future__ import annotations

from pathlib import Path

import pytest

from plait.script.shell import commands_of, helper_of, without_missing

LINES = {
    "a b; c && d": [["a", "b"], ["c"], ["d"]],
    "# comment\n\na # more": [["a"]],
    "a \\\n b": [["a", "b"]],
    "x > /dev/null 2>&1": [["x"]],
    "x >> log": [["x"]],
    'sysctl -q r="4096 $((256*1024)) $((15*1024*1024))"': [
        ["sysctl", "-q", "r=4096 262144 15728640"]
    ],
}


@pytest.mark.parametrize(("text", "commands"), LINES.items(), ids=range(len(LINES)))
def test_commands(text: str, commands: list[list[str]]) -> None:
    assert commands_of(text) == commands


def test_helpers_are_files_named_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "here.sh").touch()
    assert helper_of(["../a.sh", "-e"], tmp_path) == tmp_path / "../a.sh"
    assert helper_of(["sysctl", "a=/b"], tmp_path) is None
    text = "./here.sh 1\n./gone.sh\nsysctl x=1\n/nowhere/restore_${PPID}.sh"
    assert without_missing(text, tmp_path) == "./here.sh 1\nsysctl x=1"
