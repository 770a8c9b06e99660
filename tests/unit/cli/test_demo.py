from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import pytest
from rich.console import Console

from plait.cli.demo_transfer import Tally
from plait.cli.demo_view import PathReading, View
from plait.linux.netns import can_make_namespaces

READINGS = (
    PathReading(name="wifi", capacity=40, rate=20.0, cut=False),
    PathReading(name="lte", capacity=20, rate=0.0, cut=True),
)


def test_a_tally_counts_hashes_and_finds_the_longest_gap_after_the_mark() -> None:
    tally = Tally()
    tally.add(b"a", 1.0)
    tally.add(b"b", 9.0)
    assert tally.longest_gap == 0.0
    tally.mark()
    for now in (9.5, 12.0, 12.1):
        tally.add(b"c", now)
    assert tally.longest_gap == 2.5
    assert tally.octets == 5
    assert tally.last == 12.1
    assert tally.digest() == hashlib.sha256(b"abccc").digest()


def shown(*, terminal: bool) -> str:
    out = io.StringIO()
    with View(Console(file=out, force_terminal=terminal, width=100, color_system=None)) as view:
        view.show(0.5, READINGS, 0.1)
        view.show(1.0, READINGS, 0.5)
        view.show(1.1, READINGS, 0.6)
        view.line("[the end]")
    return out.getvalue()


def test_without_a_terminal_there_is_a_plain_line_a_second() -> None:
    assert shown(terminal=False).splitlines() == [
        "   1.0 s   wifi 20.0 Mbit/s   lte    cut         50% received",
        "[the end]",
    ]


def test_on_a_terminal_a_bar_is_as_long_as_the_path_is_busy() -> None:
    lines = shown(terminal=True).splitlines()
    bars = [line.count("━") for line in lines if "wifi" in line]
    assert bars
    assert set(bars) == {15}  # half of the width for half of the rate
    assert any("60%" in line for line in lines)


WORLDS = [
    pytest.param(("--in-process",), "two in-process links", id="in process"),
    pytest.param(
        (),
        "Linux kernel MPTCP",
        id="kernel",
        marks=[
            pytest.mark.privileged,
            pytest.mark.skipif(
                not can_make_namespaces(), reason="making network namespaces needs root"
            ),
        ],
    ),
]


@pytest.mark.parametrize(("arguments", "title"), WORLDS)
def test_the_demonstration_loses_nothing(arguments: tuple[str, ...], title: str) -> None:
    line = [sys.executable, "-m", "plait.cli", "demo", "--size", "3", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert title in done.stdout.splitlines()[0]
    assert "wifi is cut at " in done.stdout
    assert "intact (SHA-256)" in done.stdout
    assert "MPJoinAckRx 1" in done.stdout
