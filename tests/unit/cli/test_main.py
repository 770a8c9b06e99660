from __future__ import annotations

import re

import pytest

from plait import ranges
from plait.cli.main import COMMANDS, run

TUN = "t1,local=10.9.1.1,peer=10.9.1.2/24"

IMPOSSIBLE = {
    "no network": ("nc host 1", "plait nc: plait's own stack needs a network: "),
    "no port": ("nc host --via kernel", "plait nc: write plait nc HOST PORT: "),
    "a bad port": ("nc host 70000 --via kernel", "plait nc: '70000' is not a port: "),
    "-k alone": ("nc -k host 1 --via kernel", "plait nc: -k goes with -l only"),
    "an unknown option": ("nc --nope", "plait nc: "),
    "an unknown command": ("nope", "plait: "),
    "an unknown back end": ("nc host 1 --via magic", "plait nc: "),
    "a bad TUN": ("nc host 1 --tun t1", "plait nc: TUN t1: local= is missing"),
    "an unknown scheduler": (f"nc host 1 --tun {TUN} --scheduler nope", "plait nc: unknown sched"),
    "an unknown path manager": (f"nc host 1 --tun {TUN} --pm nope", "plait nc: unknown path man"),
    "an unknown congestion control": (f"nc host 1 --tun {TUN} --cc nope", "plait nc: unknown con"),
    "an unknown intent": (f"nc host 1 --tun {TUN} --intent nope", "plait nc: unknown intent"),
    "an unknown argument": (
        f"nc host 1 --tun {TUN} --pm fullmesh:x=1",
        "plait nc: path manager fullmesh: x: unknown key; known are subflows, backup",
    ),
    "an argument that is not ours": (
        f"nc host 1 --tun {TUN} --cc lia:mss=5",
        "plait nc: congestion control lia: mss: unknown key",
    ),
    "an intent for the kernel": ("nc a 1 --via kernel --intent x", "plait nc: --intent goes with"),
    "a TUN for the kernel": (f"nc host 1 --via kernel --tun {TUN}", "plait nc: --tun goes with "),
    "a scheduler for the kernel": ("nc a 1 --via kernel --scheduler x", "plait nc: --scheduler"),
    "a path manager for the kernel": ("nc a 1 --via kernel --pm x", "plait nc: --pm goes with "),
    "version 0 of the kernel": (
        "nc a 1 --via kernel --mptcp v0",
        "plait nc: --mptcp v0 goes with ",
    ),
    "a capture of the kernel": ("nc a 1 --via kernel --pcap x", "plait nc: --pcap goes with "),
    "a report nowhere": ("nc a 1 --via kernel --json /no/x", "plait nc: there is no directory /no"),
    "a report in a directory": ("nc a 1 --via kernel --json /", "plait nc: / is a directory"),
    "time and amount": (
        "perf client host 1 --seconds 1 --bytes 1 --via kernel",
        "plait perf client: --seconds and --bytes exclude each other",
    ),
    "no time at all": ("perf client host 1 --seconds 0 --via kernel", "plait perf client: "),
}


@pytest.mark.parametrize(("line", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_the_impossible_is_one_line_and_status_2(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [*COMMANDS, "perf server", "perf client"])
def test_help_is_status_0(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command.split(), "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: plait {command}")


@pytest.mark.parametrize(
    "command", ["nc", "perf client", "perf server", "script", "sim", "torture"]
)
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([*command.split(), "--help"])
    assert f"\n    plait {command} " in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    compiled = not ranges.__file__.endswith(".py")
    words = "compiled core" if compiled else "pure Python"
    assert re.fullmatch(rf"plait, version \S+ \({words}\)\n", capsys.readouterr().out)


def test_no_command_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err
