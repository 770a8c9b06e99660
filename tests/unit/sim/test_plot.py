from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from plait.errors import UsageError
from plait.sim import plot
from plait.sim.run import run
from plait.sim.toml import decode


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return run(
        decode(
            {
                "title": "a title",
                "duration_s": 1,
                "series": ["cwnd", "srtt", "subflows"],
                "hosts": {
                    "a": {"addresses": {"l": "10.0.0.1"}},
                    "b": {"addresses": {"l": "10.0.0.2"}},
                },
                "links": {"l": {"between": ["a", "b"], "rate_mbit": 5, "delay_ms": 10}},
                "flows": {
                    "f": {"source": "a", "destination": "b"},
                    "cross": {"source": "a", "destination": "b", "kind": "cbr", "rate_mbit": 1},
                },
            }
        )
    )


def test_goodput_is_by_path_or_by_flow(result: dict[str, Any]) -> None:
    curves = dict(plot.goodput(result))
    assert set(curves) == {"f: 10.0.0.1 > 10.0.0.2", "cross"}
    times, rates = curves["cross"]
    assert times == pytest.approx([0.1 * step for step in range(1, 11)])
    assert 0 < max(rates) < 1.3


def test_the_sequence_only_rises(result: dict[str, Any]) -> None:
    _, values = dict(plot.sequence(result))["f"]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(result["flows"]["f"]["delivered"] / 1e6)


BEGINNINGS = {".png": b"\x89PNG", ".svg": b"<?xml", ".html": b"<!DOCTYPE html>"}


@pytest.mark.parametrize(("suffix", "beginning"), BEGINNINGS.items())
def test_formats(suffix: str, beginning: bytes, result: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for file in files:
        plot.draw(result, file)
    assert files[0].read_bytes().startswith(beginning)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.html"):
        plot.check(tmp_path / "x.pdf")


def test_without_matplotlib_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'plait\[plot\]'"):
        plot.check(tmp_path / "x.svg")
